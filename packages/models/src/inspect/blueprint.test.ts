import { expect, test } from "vitest";
import { blueprintOf } from "./blueprint.ts";
import type { ModelKind } from "./model-kind.ts";

/** A network is put together before any weight is looked at: a count that none has must not get that far. */
const huge = 2_000_000_000;
const llama = (changes: object) => ({ model_type: "llama", ...changes });
const llava = (changes: object) => ({ model_type: "llava", text_config: {}, ...changes });
const clip = (changes: object) => ({ model_type: "clip", vision_config: {}, text_config: {}, ...changes });
const sam = (part: string, changes: object) => ({ model_type: "sam", [part]: changes });
const detr = (changes: object) => ({ model_type: "deformable_detr", ...changes });
const resnet = (depths: readonly number[]) =>
  detr({ backbone_config: { model_type: "resnet", depths, hidden_sizes: depths.map(() => 8) } });

const cases: readonly (readonly [ModelKind, object, string])[] = [
  ["llama", llama({ num_hidden_layers: huge }), "num_hidden_layers"],
  ["llama", llama({ head_dim: huge }), "head_dim"],
  ["llama", llama({ hidden_size: huge, num_attention_heads: 1 }), "num_attention_heads"],
  ["llava", llava({ text_config: { num_hidden_layers: huge } }), "text_config.num_hidden_layers"],
  ["llava", llava({ vision_config: { num_hidden_layers: huge } }), "vision_config.num_hidden_layers"],
  ["clip", clip({ vision_config: { num_hidden_layers: huge } }), "vision_config.num_hidden_layers"],
  ["clip", clip({ text_config: { num_hidden_layers: huge } }), "text_config.num_hidden_layers"],
  ["sam", sam("vision_config", { num_hidden_layers: huge }), "vision_config.num_hidden_layers"],
  ["sam", sam("mask_decoder_config", { num_hidden_layers: huge }), "mask_decoder_config.num_hidden_layers"],
  ["sam", sam("mask_decoder_config", { iou_head_depth: huge }), "mask_decoder_config.iou_head_depth"],
  [
    "sam",
    sam("mask_decoder_config", { num_multimask_outputs: huge }),
    "mask_decoder_config.num_multimask_outputs",
  ],
  ["deformable_detr", detr({ encoder_layers: huge }), "encoder_layers"],
  ["deformable_detr", detr({ decoder_layers: huge }), "decoder_layers"],
  ["deformable_detr", detr({ num_feature_levels: huge }), "num_feature_levels"],
  ["deformable_detr", detr({ num_labels: huge }), "num_labels"],
  ["deformable_detr", resnet([1, huge]), "backbone_config.depths[1]"],
  ["deformable_detr", resnet(Array(64).fill(100)), "backbone_config.depths"],
];

test.each(cases)("%s: %j is refused", (kind, config, field) => {
  expect(() => blueprintOf(kind, config)).toThrow(
    expect.objectContaining({ code: "CONFIG", file: "config.json", field }),
  );
});

test("rotary settings that no frequencies can be computed from are refused before any are", () => {
  const scaling = { rope_type: "llama3", factor: 8, original_max_position_embeddings: 8192 };
  const rope_scaling = { ...scaling, low_freq_factor: 4, high_freq_factor: 1 };
  for (const [kind, config, at] of [
    ["llama", llama({ rope_scaling }), ""],
    ["llava", llava({ text_config: { rope_scaling } }), "text_config."],
  ] as const) {
    expect(() => blueprintOf(kind, config)).toThrow(
      expect.objectContaining({ code: "CONFIG", field: `${at}rope_scaling.high_freq_factor` }),
    );
  }
});

test("networks much deeper than any are not", () => {
  expect(blueprintOf("llama", llama({ num_hidden_layers: 4096 })).language?.num_hidden_layers).toBe(4096);
});
