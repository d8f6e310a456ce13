import { z } from "zod";
import { quantizationSchema } from "../checkpoint/index.ts";
import { activationSchema, layerCount, mostHeadElements } from "../nn/index.ts";

const count = z.int32().positive();
const idList = z.union([z.number().int().nonnegative(), z.array(z.number().int().nonnegative())]);

/** The rotary scalings that `ropeFrequencies` computes. */
const ropeType = z.enum(["default", "linear", "llama3", "freq_factors"]);

/** What each of them needs. */
const scalingFields = {
  default: [],
  linear: ["factor"],
  llama3: ["factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"],
  freq_factors: ["freq_factors"],
} as const;

/** Rotary settings: `rope_parameters` of transformers 5; older files say `rope_theta` and `rope_scaling` with `type` or `rope_type`. */
const ropeSchema = z.looseObject({
  rope_type: ropeType.optional(),
  type: ropeType.optional(),
  rope_theta: z.number().positive().optional(),
  partial_rotary_factor: z.number().positive().max(1).optional(),
  factor: z.number().positive().optional(),
  low_freq_factor: z.number().positive().optional(),
  high_freq_factor: z.number().positive().optional(),
  original_max_position_embeddings: count.optional(),
  freq_factors: z.array(z.number().positive()).optional(),
});

/** What `ropeFrequencies` would refuse of values that are well-formed each. */
function checkRotation(
  scaling: z.output<typeof ropeSchema>,
  headDim: number,
  issue: (field: keyof typeof scaling, message: string, expected: string) => void,
): void {
  const { low_freq_factor: low, high_freq_factor: high, partial_rotary_factor: part = 1 } = scaling;
  const isLlama3 = (scaling.rope_type ?? scaling.type) === "llama3";
  if (isLlama3 && low !== undefined && high !== undefined && high <= low)
    issue("high_freq_factor", "is not above low_freq_factor", `more than ${low}`);
  const rotated = Math.floor(headDim * part);
  if (part < 1 && (rotated < 2 || rotated % 2 !== 0))
    issue(
      "partial_rotary_factor",
      `rotates ${rotated} elements of a head of ${headDim}`,
      "a share that is an even number of elements, at least 2",
    );
}

/** Rotary settings as the runtime's `ropeFrequencies` takes them. */
export interface RopeConfig {
  readonly rope_type: string;
  readonly rope_theta: number;
  readonly factor?: number | undefined;
  readonly low_freq_factor?: number | undefined;
  readonly high_freq_factor?: number | undefined;
  readonly original_max_position_embeddings?: number | undefined;
  readonly freq_factors?: readonly number[] | undefined;
}

/** Hugging Face's `LlamaConfig`, with its defaults. */
export const llamaConfigSchema = z
  .object({
    model_type: z.literal("llama").default("llama"),
    vocab_size: count.default(32000),
    hidden_size: count.default(4096),
    intermediate_size: count.default(11008),
    num_hidden_layers: layerCount.default(32),
    num_attention_heads: count.default(32),
    num_key_value_heads: count.nullish(),
    head_dim: count.nullish(),
    hidden_act: activationSchema.default("silu"),
    max_position_embeddings: count.default(2048),
    rms_norm_eps: z.number().positive().default(1e-6),
    tie_word_embeddings: z.boolean().default(false),
    attention_bias: z.boolean().default(false),
    mlp_bias: z.boolean().default(false),
    rope_theta: z.number().positive().optional(),
    rope_scaling: ropeSchema.nullish(),
    rope_parameters: ropeSchema.nullish(),
    bos_token_id: idList.nullish(),
    eos_token_id: idList.nullish(),
    quantization_config: quantizationSchema.nullish(),
  })
  .transform((c, context) => {
    const heads = c.num_attention_heads;
    const kvHeads = c.num_key_value_heads ?? heads;
    if (heads % kvHeads !== 0) {
      context.addIssue({
        code: "custom",
        path: ["num_key_value_heads"],
        message: "does not divide num_attention_heads",
      });
    }
    if (!c.head_dim && c.hidden_size % heads !== 0) {
      context.addIssue({
        code: "custom",
        path: ["num_attention_heads"],
        message: "does not divide hidden_size, and there is no head_dim",
      });
    }
    const headDim = c.head_dim ?? Math.floor(c.hidden_size / heads);
    if (headDim % 2 !== 0)
      context.addIssue({
        code: "custom",
        path: ["head_dim"],
        message: "is odd: rotary positions need pairs",
      });
    if (headDim > mostHeadElements)
      context.addIssue({
        code: "custom",
        path: [c.head_dim ? "head_dim" : "num_attention_heads"],
        message: `gives heads of ${headDim} elements; at most ${mostHeadElements} are expected`,
      });
    const { rope_theta, rope_scaling, rope_parameters, quantization_config: _, ...rest } = c;
    const scaling = rope_parameters ?? rope_scaling ?? {};
    const scalingIssue = (field: keyof typeof scaling, message: string, expected?: string) => {
      const path = [rope_parameters ? "rope_parameters" : "rope_scaling", field];
      context.addIssue({ code: "custom", path, message, params: { expected } });
    };
    for (const field of scalingFields[scaling.rope_type ?? scaling.type ?? "default"]) {
      if (scaling[field] === undefined) scalingIssue(field, "is missing");
    }
    if (scaling.freq_factors && scaling.freq_factors.length !== headDim / 2)
      scalingIssue("freq_factors", `is not one number for each of the ${headDim / 2} pairs of a head`);
    checkRotation(scaling, headDim, scalingIssue);
    const rope: RopeConfig = {
      ...scaling,
      rope_type: scaling.rope_type ?? scaling.type ?? "default",
      rope_theta: scaling.rope_theta ?? rope_theta ?? 10000,
    };
    return { ...rest, num_key_value_heads: kvHeads, head_dim: headDim, rope };
  });
export type LlamaConfig = z.output<typeof llamaConfigSchema>;
