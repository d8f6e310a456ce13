import { describe, expect, it } from "vitest";
import { ConfigError, parseConfig, rename } from "../checkpoint/index.ts";
import { deformableDetrConfigSchema } from "./config.ts";
import { deformableDetrNames } from "./names.ts";
import { planStages } from "./resnet.ts";

const minimal = { model_type: "deformable_detr" };
const parse = (changes: object) =>
  parseConfig(deformableDetrConfigSchema, { ...minimal, ...changes }, "config.json");
const resnet = (changes: object) => ({ backbone_config: { model_type: "resnet", ...changes } });

describe("configuration", () => {
  it("takes transformers' defaults: ResNet-50, four levels", () => {
    const c = parse({ id2label: { 0: "cat", 1: "dog", 2: "bird" } });
    expect(c.backbone).toMatchObject({
      layerType: "bottleneck",
      depths: [3, 4, 6, 3],
      outIndices: [2, 3, 4],
    });
    expect(c.labels).toEqual(["cat", "dog", "bird"]);
    expect(c).toMatchObject({ d_model: 256, num_queries: 300, encoder_layers: 6, num_feature_levels: 4 });
  });

  it("reads a backbone in any of the ways that transformers wrote it", () => {
    expect(parse({ backbone: "resnet18", use_timm_backbone: true }).backbone.depths).toEqual([2, 2, 2, 2]);
    const timm = {
      model_type: "timm_backbone",
      backbone: "resnet101.a1_in1k",
      out_indices: [4],
      output_stride: 16,
    };
    expect(parse({ backbone_config: timm, num_feature_levels: 1 }).backbone).toMatchObject({
      depths: [3, 4, 23, 3],
      outIndices: [4],
      dilateLastStage: true,
    });
    expect(parse(resnet({ out_features: ["stage2", "stage4"] })).backbone.outIndices).toEqual([2, 4]);
    expect(parse(resnet({ out_indices: [-1] })).backbone.outIndices).toEqual([4]);
    expect(parse({ num_feature_levels: 1, dilation: true }).backbone).toMatchObject({
      outIndices: [4],
      dilateLastStage: true,
    });
  });

  it.each([
    [{ model_type: "detr" }, "model_type"],
    [{ d_model: 48 }, "d_model"],
    [{ d_model: 0 }, "d_model"],
    [{ encoder_attention_heads: 7 }, "encoder_attention_heads"],
    [{ decoder_attention_heads: 3 }, "decoder_attention_heads"],
    [{ two_stage: true }, "two_stage"],
    [{ position_embedding_type: "learned" }, "position_embedding_type"],
    [{ activation_function: "mish" }, "activation_function"],
    [{ backbone: "convnext_tiny" }, "backbone"],
    [{ backbone: "microsoft/resnet-50", use_timm_backbone: false }, "backbone"],
    [{ backbone: "resnet50", use_timm_backbone: false }, "backbone"],
    [{ backbone_config: { model_type: "swin" } }, "backbone_config.model_type"],
    [resnet({ layer_type: "preact" }), "backbone_config.layer_type"],
    [resnet({ depths: [1, 2] }), "backbone_config.hidden_sizes"],
    [resnet({ hidden_sizes: [2, 4, 8, 16] }), "backbone_config.hidden_sizes"],
    [resnet({ out_features: ["stage5"] }), "backbone_config.out_features"],
    [resnet({ out_indices: [3, 2] }), "backbone_config.out_indices"],
    [{ ...resnet({}), dilation: true }, "dilation"],
    [{ num_feature_levels: 2 }, "num_feature_levels"],
    [{ ...resnet({ out_indices: [3, 4] }), num_feature_levels: 1 }, "num_feature_levels"],
    [{ id2label: { 0: "cat", 2: "dog" } }, "id2label"],
    [{ id2label: { 0: "cat" }, num_labels: 3 }, "num_labels"],
    [{ num_channels: 1 }, "num_channels"],
  ])("refuses %j and names the field", (changes, field) => {
    let error: unknown;
    try {
      parse(changes);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).field).toBe(field);
  });
});

describe("names", () => {
  const known = (name: string) => rename(name, deformableDetrNames);

  it.each(["model.backbone.conv_encoder.model", "model.backbone.model", "model.backbone.model._backbone"])(
    "reads timm's ResNet below %s",
    (prefix) => {
      const to = "model.backbone.model";
      expect(known(`${prefix}.conv1.weight`)).toBe(`${to}.embedder.embedder.convolution.weight`);
      expect(known(`${prefix}.bn1.running_var`)).toBe(`${to}.embedder.embedder.normalization.running_var`);
      const block = `${to}.encoder.stages.2.layers.22`;
      expect(known(`${prefix}.layer3.22.conv3.weight`)).toBe(`${block}.layer.2.convolution.weight`);
      expect(known(`${prefix}.layer3.22.bn1.bias`)).toBe(`${block}.layer.0.normalization.bias`);
      expect(known(`${prefix}.layer3.22.downsample.0.weight`)).toBe(`${block}.shortcut.convolution.weight`);
      expect(known(`${prefix}.layer3.22.downsample.1.bias`)).toBe(`${block}.shortcut.normalization.bias`);
    },
  );

  it("reads the transformer of releases 4 and 5", () => {
    expect(known("model.decoder.layers.0.self_attn.out_proj.bias")).toBe(
      "model.decoder.layers.0.self_attn.o_proj.bias",
    );
    expect(known("model.encoder.layers.5.fc2.weight")).toBe("model.encoder.layers.5.mlp.fc2.weight");
    for (const name of [
      "model.encoder.layers.5.mlp.fc2.weight",
      "model.encoder.layers.5.self_attn.output_proj.weight",
      "bbox_embed.0.layers.1.weight",
      "model.backbone.model.encoder.stages.0.layers.0.layer.1.convolution.weight",
    ]) {
      expect(known(name)).toBe(name);
    }
  });
});

describe("planStages", () => {
  const widths = { stem: 8, stages: [16, 32, 64, 128] };

  it("strides the first block of every stage but the first", () => {
    const plan = planStages(parse({}).backbone, widths);
    expect(plan.map((blocks) => blocks.map(({ stride }) => stride))).toEqual([
      [1, 1, 1],
      [2, 1, 1, 1],
      [2, 1, 1, 1, 1, 1],
      [2, 1, 1],
    ]);
    expect(plan.flat().every(({ dilation, firstDilation }) => dilation === 1 && firstDilation === 1)).toBe(
      true,
    );
  });

  it("dilates the last stage behind its first convolution", () => {
    const last = planStages(parse({ num_feature_levels: 1, dilation: true }).backbone, widths).at(-1);
    expect(last?.map(({ stride, firstDilation, dilation }) => [stride, firstDilation, dilation])).toEqual([
      [1, 1, 2],
      [1, 2, 2],
      [1, 2, 2],
    ]);
    expect(last?.map(({ inputs, outputs }) => [inputs, outputs])).toEqual([
      [64, 128],
      [128, 128],
      [128, 128],
    ]);
  });

  it("strides the first stage where told to", () => {
    const plan = planStages(parse(resnet({ downsample_in_first_stage: true })).backbone, widths);
    expect(plan[0]?.[0]?.stride).toBe(2);
  });
});
