import { z } from "zod";
import { activationSchema, layerCount } from "../nn/index.ts";

const count = z.int32().positive();
const eps = z.number().positive().default(1e-6);

/** Hugging Face's `SamVisionConfig`, with its defaults (facebook/sam-vit-base). */
export const samVisionConfigSchema = z
  .object({
    hidden_size: count.default(768),
    output_channels: count.default(256),
    num_hidden_layers: layerCount.default(12),
    num_attention_heads: count.default(12),
    num_channels: z.literal(3).default(3),
    image_size: count.default(1024),
    patch_size: count.default(16),
    hidden_act: activationSchema.default("gelu"),
    layer_norm_eps: eps,
    qkv_bias: z.boolean().default(true),
    mlp_ratio: z.number().positive().default(4),
    mlp_dim: count.nullish(),
    use_abs_pos: z.boolean().default(true),
    use_rel_pos: z.boolean().default(true),
    /** Side of a window in patches; 0: every layer is global. */
    window_size: z.number().int().nonnegative().default(14),
    global_attn_indexes: z.array(z.number().int().nonnegative()).default([2, 5, 8, 11]),
    num_pos_feats: count.default(128),
  })
  .refine((c) => c.hidden_size % c.num_attention_heads === 0, {
    message: "does not divide hidden_size",
    path: ["num_attention_heads"],
  })
  .refine((c) => c.patch_size <= c.image_size, {
    message: "is larger than image_size",
    path: ["patch_size"],
  })
  .transform((c) => ({ ...c, mlp_dim: c.mlp_dim ?? Math.trunc(c.hidden_size * c.mlp_ratio) }));
export type SamVisionConfig = z.output<typeof samVisionConfigSchema>;

/** Hugging Face's `SamPromptEncoderConfig`. */
export const samPromptEncoderConfigSchema = z
  .object({
    hidden_size: count.default(256),
    image_size: count.default(1024),
    patch_size: count.default(16),
    /** Derived from the two above; older files state it. */
    image_embedding_size: count.nullish(),
    mask_input_channels: count.default(16),
    /** A click on the background, one on the object, and a box's two corners. */
    num_point_embeddings: z.literal(4).default(4),
    hidden_act: activationSchema.default("gelu"),
    layer_norm_eps: eps,
  })
  .refine((c) => c.mask_input_channels % 4 === 0, {
    message: "is not a multiple of 4",
    path: ["mask_input_channels"],
  });
export type SamPromptEncoderConfig = z.output<typeof samPromptEncoderConfigSchema>;

/** Hugging Face's `SamMaskDecoderConfig`. */
export const samMaskDecoderConfigSchema = z
  .object({
    hidden_size: count.default(256),
    hidden_act: activationSchema.default("relu"),
    mlp_dim: count.default(2048),
    num_hidden_layers: layerCount.default(2),
    num_attention_heads: count.default(8),
    attention_downsample_rate: count.default(2),
    num_multimask_outputs: layerCount.default(3),
    iou_head_depth: layerCount.min(2).default(3),
    iou_head_hidden_dim: count.default(256),
    layer_norm_eps: eps,
  })
  .refine((c) => c.hidden_size % (c.attention_downsample_rate * c.num_attention_heads) === 0, {
    message: "times num_attention_heads does not divide hidden_size",
    path: ["attention_downsample_rate"],
  })
  .refine((c) => c.hidden_size % 8 === 0, {
    message: "is not a multiple of 8, as upscaling needs it",
    path: ["hidden_size"],
  });
export type SamMaskDecoderConfig = z.output<typeof samMaskDecoderConfigSchema>;

/** `config.json` of a whole SAM. */
export const samConfigSchema = z
  .object({
    model_type: z.literal("sam"),
    vision_config: samVisionConfigSchema.prefault({}),
    prompt_encoder_config: samPromptEncoderConfigSchema.prefault({}),
    mask_decoder_config: samMaskDecoderConfigSchema.prefault({}),
  })
  .superRefine((c, context) => {
    const { vision_config: vision, prompt_encoder_config: prompt, mask_decoder_config: decoder } = c;
    const same = (path: [string, string], found: number, expected: number, what: string) => {
      if (found !== expected)
        context.addIssue({ code: "custom", path, message: `is not ${what}, ${expected}` });
    };
    const prompts = "prompt_encoder_config";
    same([prompts, "image_size"], prompt.image_size, vision.image_size, "vision_config.image_size");
    same([prompts, "patch_size"], prompt.patch_size, vision.patch_size, "vision_config.patch_size");
    const grid = samGrid(vision);
    const stated = prompt.image_embedding_size ?? grid;
    same([prompts, "image_embedding_size"], stated, grid, "image_size div patch_size");
    const width = vision.output_channels;
    same([prompts, "hidden_size"], prompt.hidden_size, width, "vision_config.output_channels");
    same(["mask_decoder_config", "hidden_size"], decoder.hidden_size, width, "vision_config.output_channels");
    const features = 2 * vision.num_pos_feats;
    same([prompts, "hidden_size"], prompt.hidden_size, features, "twice vision_config.num_pos_feats");
  });
export type SamConfig = z.output<typeof samConfigSchema>;

/** Rows (and columns) of patches in an image of `imageSize`, the trained size unless given. */
export function samGrid(vision: SamVisionConfig, imageSize = vision.image_size): number {
  return Math.floor(imageSize / vision.patch_size);
}

/** Side of a low-resolution mask, given and predicted: four cells a patch. */
export function samMaskSide(grid: number): number {
  return 4 * grid;
}
