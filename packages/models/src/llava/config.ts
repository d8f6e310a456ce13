import { z } from "zod";
import { quantizationSchema } from "../checkpoint/index.ts";
import { clipVisionConfigSchema } from "../clip/config.ts";
import { llamaConfigSchema } from "../llama/config.ts";
import { activationSchema } from "../nn/index.ts";

/** What transformers' `LlavaConfig` takes for a vision tower that is not described: CLIP ViT-L/14-336. */
const defaultVision = {
  intermediate_size: 4096,
  hidden_size: 1024,
  patch_size: 14,
  image_size: 336,
  num_hidden_layers: 24,
  num_attention_heads: 16,
  projection_dim: 768,
};

/** Hugging Face's `LlavaConfig` with a CLIP tower and a LLaMA decoder. */
export const llavaConfigSchema = z
  .object({
    model_type: z.literal("llava"),
    vision_config: clipVisionConfigSchema.prefault(defaultVision),
    text_config: llamaConfigSchema,
    projector_hidden_act: activationSchema.default("gelu"),
    multimodal_projector_bias: z.boolean().default(true),
    vision_feature_layer: z.union([z.number().int(), z.array(z.number().int()).min(1)]).default(-2),
    vision_feature_select_strategy: z.enum(["default", "full"]).default("default"),
    image_token_index: z.number().int().nonnegative().optional(),
    image_token_id: z.number().int().nonnegative().optional(),
    tie_word_embeddings: z.boolean().optional(),
    /** The original LLaVA's switch for padding pictures to a square. */
    image_aspect_ratio: z.string().nullish(),
    quantization_config: quantizationSchema.nullish(),
  })
  .transform((c, context) => {
    const states = c.vision_config.num_hidden_layers + 1;
    const layers = [c.vision_feature_layer].flat();
    layers.forEach((layer, i) => {
      if (layer >= -states && layer < states) return;
      context.addIssue({
        code: "custom",
        path: ["vision_feature_layer", ...(Array.isArray(c.vision_feature_layer) ? [i] : [])],
        message: `is not one of the ${states} hidden states of the vision tower`,
      });
    });
    const {
      image_token_index,
      image_token_id,
      vision_feature_layer: _,
      quantization_config: __,
      ...rest
    } = c;
    return {
      ...rest,
      imageTokenId: image_token_id ?? image_token_index ?? 32000,
      /** Indices into the tower's hidden states, from the start. */
      featureLayers: layers.map((layer) => (layer < 0 ? layer + states : layer)),
      text_config: {
        ...c.text_config,
        tie_word_embeddings: c.tie_word_embeddings || c.text_config.tie_word_embeddings,
      },
    };
  });
export type LlavaConfig = z.output<typeof llavaConfigSchema>;
