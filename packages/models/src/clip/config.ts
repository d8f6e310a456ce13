import { z } from "zod";
import { activationSchema, layerCount } from "../nn/index.ts";

const count = z.int32().positive();

function headsDivideWidth(c: { hidden_size: number; num_attention_heads: number }): boolean {
  return c.hidden_size % c.num_attention_heads === 0;
}
const headsIssue = { message: "does not divide hidden_size", path: ["num_attention_heads"] };

/** Hugging Face's `CLIPVisionConfig`, with its defaults (ViT-B/32). */
export const clipVisionConfigSchema = z
  .object({
    model_type: z.literal("clip_vision_model").default("clip_vision_model"),
    hidden_size: count.default(768),
    intermediate_size: count.default(3072),
    projection_dim: count.default(512),
    num_hidden_layers: layerCount.default(12),
    num_attention_heads: count.default(12),
    num_channels: count.default(3),
    image_size: count.default(224),
    patch_size: count.default(32),
    hidden_act: activationSchema.default("quick_gelu"),
    layer_norm_eps: z.number().positive().default(1e-5),
  })
  .refine(headsDivideWidth, headsIssue)
  .refine((c) => c.patch_size <= c.image_size, {
    message: "is larger than image_size",
    path: ["patch_size"],
  });
export type ClipVisionConfig = z.output<typeof clipVisionConfigSchema>;

/** Hugging Face's `CLIPTextConfig`, with its defaults. */
export const clipTextConfigSchema = z
  .object({
    vocab_size: count.default(49408),
    hidden_size: count.default(512),
    intermediate_size: count.default(2048),
    projection_dim: count.default(512),
    num_hidden_layers: layerCount.default(12),
    num_attention_heads: count.default(8),
    max_position_embeddings: count.default(77),
    hidden_act: activationSchema.default("quick_gelu"),
    layer_norm_eps: z.number().positive().default(1e-5),
    pad_token_id: z.number().int().nullish(),
    bos_token_id: z.number().int().nullish(),
    /** 2 in the hub's older files, where it is wrong: the end is then the largest id of the text. */
    eos_token_id: z.number().int().nonnegative().default(49407),
  })
  .refine(headsDivideWidth, headsIssue);
export type ClipTextConfig = z.output<typeof clipTextConfigSchema>;

/** `config.json` of a whole CLIP model. */
export const clipConfigSchema = z.object({
  model_type: z.literal("clip"),
  projection_dim: count.default(512),
  vision_config: clipVisionConfigSchema,
  text_config: clipTextConfigSchema,
});
export type ClipConfig = z.output<typeof clipConfigSchema>;
