import { OPENAI_CLIP_MEAN, OPENAI_CLIP_STD } from "../images/index.ts";
import { mostLayers } from "../nn/index.ts";
import type { GgufTensor } from "./header.ts";
import { requireArchitecture } from "./llama-config.ts";
import type { GgufMetadata } from "./metadata.ts";

/** What an mmproj file says, in Hugging Face's terms. */
export interface ProjectorConfig {
  /** Fields of a LLaVA model's config.json. */
  readonly model: Readonly<Record<string, unknown>>;
  /** preprocessor_config.json. */
  readonly processor: Readonly<Record<string, unknown>>;
  /** Width of what the projector gives. */
  readonly outputs: number | undefined;
}

/**
 * The configuration of an mmproj file of LLaVA's kind (llama.cpp's clip.cpp; its converters write the keys).
 *
 * The features are those of `clip.vision.feature_layer`, indices into hidden states as Hugging Face's; without it those
 * of the last block in the file: converters left out the blocks behind the layer that the projector was trained on.
 * (llama.cpp itself stops one block earlier, its issue 25817.) Pictures are padded to squares with the mean colour, as
 * LLaVA-1.5 and llama.cpp do, unless `clip.vision.image_aspect_ratio` says otherwise.
 */
export function projectorConfig(
  metadata: GgufMetadata,
  tensors: ReadonlyMap<string, GgufTensor>,
): ProjectorConfig {
  requireArchitecture(metadata, "clip", ": an mmproj file is expected");
  if (metadata.optionalBoolean("clip.has_vision_encoder") === false) {
    throw metadata.error("clip.has_vision_encoder", "this file has no vision tower", "true");
  }
  checkProjector(metadata, tensors);
  const size = metadata.count("clip.vision.image_size");
  const layers = metadata.count("clip.vision.block_count", mostLayers);
  const gelu = metadata.optionalBoolean("clip.use_gelu") ?? false;
  if (metadata.optionalBoolean("clip.use_silu")) {
    throw metadata.error("clip.use_silu", "is not supported", "false");
  }
  const mean = decimals(metadata.optionalNumbers("clip.vision.image_mean", 3), OPENAI_CLIP_MEAN);
  const std = decimals(metadata.optionalNumbers("clip.vision.image_std", 3), OPENAI_CLIP_STD);
  return {
    outputs: tensors.get("mm.2.weight")?.shape[0],
    model: {
      vision_config: {
        model_type: "clip_vision_model",
        image_size: size,
        patch_size: metadata.count("clip.vision.patch_size"),
        hidden_size: metadata.count("clip.vision.embedding_length"),
        intermediate_size: metadata.count("clip.vision.feed_forward_length"),
        num_attention_heads: metadata.count("clip.vision.attention.head_count"),
        num_hidden_layers: layers,
        layer_norm_eps: metadata.number("clip.vision.attention.layer_norm_epsilon"),
        // ggml's "gelu" is the tanh approximation; the models were trained with the exact one
        hidden_act: gelu ? "gelu" : "quick_gelu",
      },
      vision_feature_layer: featureLayers(metadata, layers),
      vision_feature_select_strategy: "default",
      projector_hidden_act: "gelu",
      multimodal_projector_bias: tensors.has("mm.0.bias"),
      image_aspect_ratio: aspectRatio(metadata),
    },
    processor: {
      image_processor_type: "CLIPImageProcessor",
      do_resize: true,
      size: { shortest_edge: size },
      resample: 3,
      do_center_crop: true,
      crop_size: { height: size, width: size },
      do_rescale: true,
      rescale_factor: 1 / 255,
      do_normalize: true,
      ...(mean && { image_mean: mean }),
      ...(std && { image_std: std }),
      do_convert_rgb: true,
    },
  };
}

/** What a file rounded to f32, where that is known: pixels come out the same to the last bit. */
function decimals(given: readonly number[] | undefined, usual: readonly number[]) {
  return given?.every((value, i) => value === Math.fround(usual[i] as number)) ? usual : given;
}

function checkProjector(metadata: GgufMetadata, tensors: ReadonlyMap<string, GgufTensor>): void {
  const key = metadata.has("clip.vision.projector_type")
    ? "clip.vision.projector_type"
    : "clip.projector_type";
  // the first files have no type: there was one
  const type = metadata.optionalString(key) ?? "mlp";
  if (type !== "mlp") throw metadata.error(key, "is not supported", '"mlp", as LLaVA-1.5 has it');
  const other = ["mm.1.weight", "mm.3.weight", "v.image_newline", "model.image_newline"].find((name) =>
    tensors.has(name),
  );
  if (other !== undefined || metadata.has("clip.vision.image_grid_pinpoints")) {
    throw metadata.error(
      other === undefined ? "clip.vision.image_grid_pinpoints" : key,
      `is not supported: ${other === undefined ? "pictures cut into tiles" : `a projector with ${other}`}, as later LLaVAs have it`,
      "LLaVA-1.5's linear layers mm.0 and mm.2",
    );
  }
}

function featureLayers(metadata: GgufMetadata, layers: number): number[] {
  const key = "clip.vision.feature_layer";
  const given = metadata.optionalNumbers(key);
  if (!given || given.length === 0) return [layers];
  if (given.every((layer) => Number.isInteger(layer) && layer >= 0 && layer <= layers)) return [...given];
  throw metadata.error(key, "is not a list of the tower's hidden states", `integers from 0 to ${layers}`);
}

function aspectRatio(metadata: GgufMetadata): string {
  const key = "clip.vision.image_aspect_ratio";
  const ratio = metadata.optionalString(key) ?? "pad";
  if (ratio === "pad" || ratio === "square") return ratio;
  throw metadata.error(key, "is not supported", '"pad" or "square"');
}
