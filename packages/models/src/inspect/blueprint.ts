import { Tensor } from "@mask-llava/runtime";
import { type FloatDType, parseConfig, type RenameRule, type Weights } from "../checkpoint/index.ts";
import { ClipTextTower, ClipVisionTower, clipConfigSchema, clipIgnored } from "../clip/index.ts";
import {
  DeformableDetrNetwork,
  deformableDetrConfigSchema,
  deformableDetrIgnored,
  deformableDetrNames,
} from "../deformable-detr/index.ts";
import { type LlamaConfig, LlamaNetwork, llamaConfigSchema, type RopeTable } from "../llama/index.ts";
import { LlavaNetwork, llavaConfigSchema, llavaIgnored, llavaNames } from "../llava/index.ts";
import { Linear } from "../nn/index.ts";
import { SamNetwork, samConfigSchema } from "../sam/index.ts";
import type { ModelKind } from "./model-kind.ts";

/** How a network takes its weights, without a device. */
export interface Blueprint {
  /** Stored names to the network's. */
  readonly names: readonly RenameRule[];
  readonly ignored: readonly RegExp[];
  readonly sizes: Readonly<Record<string, unknown>>;
  /** The language model's configuration; null where there is none. */
  readonly language: LlamaConfig | null;
  /** Takes every weight at the cursor, as a checkpoint of this type would. */
  build(weights: Weights, dtype: FloatDType): void;
  /** The part of the network that a weight belongs to. */
  partOf(name: string): string;
}

/** Throws a ConfigError where config.json does not describe such a network. */
export function blueprintOf(kind: ModelKind, config: unknown): Blueprint {
  switch (kind) {
    case "clip":
      return clip(config);
    case "deformable_detr":
      return deformableDetr(config);
    case "sam":
      return sam(config);
    case "llama":
      return llama(config);
    case "llava":
      return llava(config);
  }
}

function clip(json: unknown): Blueprint {
  const config = parseConfig(clipConfigSchema, json, "config.json");
  const { vision_config: vision, text_config: text, projection_dim: joint } = config;
  return {
    names: [],
    ignored: clipIgnored,
    sizes: {
      projection_dim: joint,
      vision_config: pick(vision, visionSizes),
      text_config: pick(text, ["vocab_size", "max_position_embeddings", ...towerSizes]),
    },
    language: null,
    build(w) {
      new ClipVisionTower(w.at("vision_model"), vision);
      new ClipTextTower(w.at("text_model"), text);
      Linear.load(w.at("visual_projection"), vision.hidden_size, joint, { bias: false });
      Linear.load(w.at("text_projection"), text.hidden_size, joint, { bias: false });
      w.take("logit_scale", [], { dtype: "f32" });
    },
    partOf: (name) => name.split(".")[0] ?? name,
  };
}

function deformableDetr(json: unknown): Blueprint {
  const config = parseConfig(deformableDetrConfigSchema, json, "config.json");
  return {
    names: deformableDetrNames,
    ignored: deformableDetrIgnored,
    sizes: { ...pick(config, detectorSizes), labels: config.labels.length },
    language: null,
    build: (w, dtype) => void new DeformableDetrNetwork(w, config, { dtype, file: "model.safetensors" }),
    partOf: (name) => name.replace(/^model\./, "").split(".")[0] ?? name,
  };
}

function sam(json: unknown): Blueprint {
  const config = parseConfig(samConfigSchema, json, "config.json");
  const { vision_config: vision, mask_decoder_config: decoder } = config;
  return {
    names: [],
    ignored: [],
    sizes: {
      vision_config: pick(vision, [
        "image_size",
        "patch_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "window_size",
      ]),
      mask_decoder_config: pick(decoder, ["hidden_size", "num_multimask_outputs"]),
    },
    language: null,
    build: (w) => void new SamNetwork(w, config),
    partOf: (name) => name.split(".")[0] ?? name,
  };
}

function llama(json: unknown): Blueprint {
  const config = parseConfig(llamaConfigSchema, json, "config.json");
  return {
    names: [],
    ignored: [/\.rotary_emb\.inv_freq$/],
    sizes: pick(config, languageSizes),
    language: config,
    build: (w) => void new LlamaNetwork(w, config, noRope),
    partOf: (name) => name.replace(/^model\./, "").split(".")[0] ?? name,
  };
}

function llava(json: unknown): Blueprint {
  const config = parseConfig(llavaConfigSchema, json, "config.json");
  return {
    names: llavaNames,
    ignored: llavaIgnored,
    sizes: {
      vision_config: pick(config.vision_config, visionSizes),
      text_config: pick(config.text_config, languageSizes),
    },
    language: config.text_config,
    build: (w) => void new LlavaNetwork(w, config, noRope),
    partOf: (name) => name.split(".")[0] ?? name,
  };
}

/** Frequencies are computed and not stored, so that nothing is to be said about them. */
const noRope: RopeTable = {
  inverseFrequencies: new Tensor(
    { shape: [0], dtype: "f32", label: "rope" },
    { bytes: 0, label: "rope", buffer: undefined, state: "released", owner: undefined, release() {} },
  ),
  attentionScaling: 1,
};

const towerSizes = [
  "hidden_size",
  "intermediate_size",
  "num_hidden_layers",
  "num_attention_heads",
  "hidden_act",
] as const;
const detectorSizes = [
  "d_model",
  "encoder_layers",
  "decoder_layers",
  "num_feature_levels",
  "num_queries",
  "with_box_refine",
  "two_stage",
] as const;
const visionSizes = ["image_size", "patch_size", ...towerSizes] as const;
const languageSizes = [
  "vocab_size",
  "max_position_embeddings",
  ...towerSizes,
  "num_key_value_heads",
  "head_dim",
] as const;

function pick<T extends object, K extends keyof T>(value: T, keys: readonly K[]): Pick<T, K> {
  return Object.fromEntries(keys.map((key) => [key, value[key]])) as Pick<T, K>;
}
