import { describe, expect, test } from "vitest";
import { ConfigError } from "../checkpoint/index.ts";
import { llamaConfigSchema } from "../llama/config.ts";
import { llavaConfigSchema } from "../llava/config.ts";
import { projectorConfig } from "./clip-config.ts";
import type { GgufTensor } from "./header.ts";
import { llamaConfig } from "./llama-config.ts";
import { GgufMetadata } from "./metadata.ts";
import type { GgufValue } from "./metadata-reader.ts";
import { decoderName, feedForwardSwapped, visionName } from "./names.ts";

const llama: Readonly<Record<string, GgufValue>> = {
  "general.architecture": "llama",
  "llama.block_count": 2,
  "llama.context_length": 4096n,
  "llama.embedding_length": 64,
  "llama.feed_forward_length": 172,
  "llama.attention.head_count": 4,
  "llama.attention.layer_norm_rms_epsilon": Math.fround(1e-5),
};

const clip: Readonly<Record<string, GgufValue>> = {
  "general.architecture": "clip",
  "clip.projector_type": "mlp",
  "clip.vision.image_size": 336,
  "clip.vision.patch_size": 14,
  "clip.vision.embedding_length": 1024,
  "clip.vision.feed_forward_length": 4096,
  "clip.vision.attention.head_count": 16,
  "clip.vision.attention.layer_norm_epsilon": Math.fround(1e-5),
  "clip.vision.block_count": 23,
};

const metadata = (values: Readonly<Record<string, GgufValue | undefined>>) =>
  new GgufMetadata(
    "m.gguf",
    new Map(Object.entries(values).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined)),
  );

const tensors = (shapes: Readonly<Record<string, readonly number[]>>) =>
  new Map(
    Object.entries(shapes).map(([name, shape]): [string, GgufTensor] => [
      name,
      { name, type: "F16", shape, begin: 0, end: 0 },
    ]),
  );

const embedding = { "token_embd.weight": [512, 64] };
const configOf = (
  changes: Readonly<Record<string, GgufValue | undefined>>,
  shapes: Readonly<Record<string, readonly number[]>> = embedding,
  factors?: readonly number[],
) => llamaConfig(metadata({ ...llama, ...changes }), tensors(shapes), factors);

describe("llama.*", () => {
  test("becomes a LlamaConfig, with what old files leave out", () => {
    const config = llamaConfigSchema.parse(configOf({}));
    expect(config).toMatchObject({
      vocab_size: 512,
      hidden_size: 64,
      intermediate_size: 172,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      num_key_value_heads: 4,
      head_dim: 16,
      max_position_embeddings: 4096,
      tie_word_embeddings: true,
      attention_bias: false,
      rope: { rope_type: "default", rope_theta: 10000 },
    });
    expect(config.rms_norm_eps).toBe(Math.fround(1e-5));
  });

  test("grouped queries, heads of their own size, biases, an own head", () => {
    const shapes = {
      ...embedding,
      "output.weight": [512, 64],
      "blk.0.attn_q.bias": [56],
      "blk.0.ffn_up.bias": [172],
    };
    const keys = {
      "llama.attention.head_count_kv": 2,
      "llama.attention.key_length": 14,
      "llama.vocab_size": 512,
    };
    expect(configOf({ ...keys, "llama.rope.dimension_count": 14 }, shapes)).toMatchObject({
      num_key_value_heads: 2,
      head_dim: 14,
      tie_word_embeddings: false,
      attention_bias: true,
      mlp_bias: true,
    });
  });

  test("rotary settings", () => {
    const rope = (changes: Readonly<Record<string, GgufValue>>, factors?: readonly number[]) =>
      llamaConfigSchema.parse(configOf(changes, embedding, factors)).rope;
    expect(rope({ "llama.rope.freq_base": 500000 })).toEqual({ rope_type: "default", rope_theta: 500000 });
    const linear = { rope_type: "linear", rope_theta: 10000, factor: 4 };
    expect(rope({ "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4 })).toEqual(linear);
    expect(rope({ "llama.rope.scale_linear": 4 })).toEqual(linear);
    expect(rope({ "llama.rope.scaling.type": "none", "llama.rope.scale_linear": 4 }).rope_type).toBe(
      "default",
    );
    const freq_factors = [1, 1, 1, 2, 4, 8, 8, 8];
    expect(rope({}, freq_factors)).toEqual({ rope_type: "freq_factors", rope_theta: 10000, freq_factors });
  });

  const wrong: readonly [
    string,
    Readonly<Record<string, GgufValue | undefined>>,
    string,
    string | undefined,
  ][] = [
    ...Object.keys(llama).map((key): (typeof wrong)[number] => [
      `no ${key}`,
      { [key]: undefined },
      key,
      "nothing",
    ]),
    ["another architecture", { "general.architecture": "qwen2" }, "general.architecture", '"qwen2"'],
    ["a count in words", { "llama.block_count": "2" }, "llama.block_count", '"2"'],
    ["a count of 0", { "llama.block_count": 0 }, "llama.block_count", "0"],
    [
      "a count a layer",
      { "llama.feed_forward_length": Int32Array.of(1, 2) },
      "llama.feed_forward_length",
      "[1,2]",
    ],
    ["a count beyond 32 bits", { "llama.context_length": 2n ** 31n }, "llama.context_length", "2147483648"],
    [
      "an epsilon of 0",
      { "llama.attention.layer_norm_rms_epsilon": 0 },
      "llama.attention.layer_norm_rms_epsilon",
      "0",
    ],
    ["heads that do not divide", { "llama.attention.head_count": 5 }, "llama.attention.head_count", "5"],
    [
      "groups that do not divide",
      { "llama.attention.head_count_kv": 3 },
      "llama.attention.head_count_kv",
      "3",
    ],
    ["odd heads", { "llama.attention.key_length": 15 }, "llama.attention.key_length", "15"],
    ["values of another size", { "llama.attention.value_length": 8 }, "llama.attention.value_length", "8"],
    ["a part of a head rotated", { "llama.rope.dimension_count": 8 }, "llama.rope.dimension_count", "8"],
    ["experts", { "llama.expert_count": 8 }, "llama.expert_count", "8"],
    ["yarn", { "llama.rope.scaling.type": "yarn" }, "llama.rope.scaling.type", '"yarn"'],
    [
      "linear without a factor",
      { "llama.rope.scaling.type": "linear" },
      "llama.rope.scaling.factor",
      "nothing",
    ],
    ["another vocabulary", { "llama.vocab_size": 511 }, "llama.vocab_size", "511"],
  ];
  test.each(wrong)("%s is refused", (_, changes, field, found) => {
    expect(() => configOf(changes)).toThrow(ConfigError);
    expect(() => configOf(changes)).toThrow(expect.objectContaining({ file: "m.gguf", field, found }));
  });

  test("an mmproj file in the place of a model is told apart", () => {
    expect(() =>
      llamaConfig(metadata({ ...clip, "clip.has_vision_encoder": true }), tensors({}), undefined),
    ).toThrow(/--mmproj/);
  });
});

describe("clip.*", () => {
  const visionOf = (
    changes: Readonly<Record<string, GgufValue | undefined>>,
    shapes: Readonly<Record<string, readonly number[]>> = {},
  ) => projectorConfig(metadata({ ...clip, ...changes }), tensors(shapes));

  test("becomes a LlavaConfig: LLaVA-1.5 of the first converters", () => {
    const shapes = { "mm.0.bias": [4096], "mm.2.weight": [4096, 4096] };
    const { model, processor, outputs } = visionOf({}, shapes);
    const config = llavaConfigSchema.parse({ model_type: "llava", text_config: {}, ...model });
    expect(config.vision_config).toMatchObject({
      num_hidden_layers: 23,
      hidden_act: "quick_gelu",
      patch_size: 14,
    });
    expect(config).toMatchObject({
      featureLayers: [23],
      multimodal_projector_bias: true,
      image_aspect_ratio: "pad",
    });
    expect(processor).toMatchObject({ size: { shortest_edge: 336 }, crop_size: { height: 336, width: 336 } });
    expect(outputs).toBe(4096);
  });

  test("feature layers, activation, mean and deviation", () => {
    const mean = Float32Array.of(0.48145466, 0.4578275, 0.40821073);
    const { model, processor } = visionOf({
      "clip.vision.feature_layer": Int32Array.of(3, 23),
      "clip.use_gelu": true,
      "clip.vision.image_aspect_ratio": "square",
      "clip.vision.image_mean": mean,
      "clip.vision.image_std": Float32Array.of(0.5, 0.5, 0.25),
    });
    const config = llavaConfigSchema.parse({ model_type: "llava", text_config: {}, ...model });
    expect(config).toMatchObject({ featureLayers: [3, 23], image_aspect_ratio: "square" });
    expect(config.vision_config.hidden_act).toBe("gelu");
    expect(processor).toMatchObject({
      image_mean: [0.48145466, 0.4578275, 0.40821073],
      image_std: [0.5, 0.5, 0.25],
    });
  });

  const wrong: readonly [
    string,
    Readonly<Record<string, GgufValue | undefined>>,
    string,
    Readonly<Record<string, readonly number[]>>?,
  ][] = [
    ...Object.keys(clip)
      .filter((key) => key !== "clip.projector_type")
      .map((key): (typeof wrong)[number] => [`no ${key}`, { [key]: undefined }, key]),
    ["another architecture", { "general.architecture": "llama" }, "general.architecture"],
    ["another projector", { "clip.projector_type": "ldp" }, "clip.projector_type"],
    [
      "another projector, said elsewhere",
      { "clip.vision.projector_type": "gemma3" },
      "clip.vision.projector_type",
    ],
    ["no vision tower", { "clip.has_vision_encoder": false }, "clip.has_vision_encoder"],
    ["a projector with norms", {}, "clip.projector_type", { "mm.3.weight": [8, 8] }],
    [
      "pictures in tiles",
      { "clip.vision.image_grid_pinpoints": Int32Array.of(1) },
      "clip.vision.image_grid_pinpoints",
    ],
    ["silu", { "clip.use_silu": true }, "clip.use_silu"],
    [
      "a layer that is not there",
      { "clip.vision.feature_layer": Int32Array.of(24) },
      "clip.vision.feature_layer",
    ],
    ["a mean of two", { "clip.vision.image_mean": Float32Array.of(0, 1) }, "clip.vision.image_mean"],
    ["another aspect", { "clip.vision.image_aspect_ratio": "anyres" }, "clip.vision.image_aspect_ratio"],
  ];
  test.each(wrong)("%s is refused", (_, changes, field, shapes = {}) => {
    expect(() => visionOf(changes, shapes)).toThrow(
      expect.objectContaining({ code: "CONFIG", file: "m.gguf", field }),
    );
  });
});

describe("names", () => {
  test("a decoder's", () => {
    expect(decoderName("token_embd.weight")).toBe("model.embed_tokens.weight");
    expect(decoderName("output.weight")).toBe("lm_head.weight");
    expect(decoderName("output_norm.weight")).toBe("model.norm.weight");
    expect(decoderName("blk.12.attn_q.bias")).toBe("model.layers.12.self_attn.q_proj.bias");
    expect(decoderName("blk.0.ffn_norm.weight")).toBe("model.layers.0.post_attention_layernorm.weight");
    for (const name of ["blk.0.ffn_gate_exps.weight", "constructor.weight", "blk.x.attn_q.weight"]) {
      expect(decoderName(name)).toBe(name);
    }
  });

  test("a vision tower's, of both generations", () => {
    const layer = "vision_tower.vision_model.encoder.layers.3";
    expect(visionName("v.blk.3.ffn_up.weight", false)).toBe(`${layer}.mlp.fc1.weight`);
    expect(visionName("v.blk.3.ffn_down.weight", true)).toBe(`${layer}.mlp.fc1.weight`);
    expect(visionName("v.blk.3.attn_out.bias", true)).toBe(`${layer}.self_attn.out_proj.bias`);
    expect(visionName("v.class_embd", true)).toBe("vision_tower.vision_model.embeddings.class_embedding");
    expect(visionName("mm.2.weight", true)).toBe("multi_modal_projector.linear_2.weight");
    expect(visionName("v.blk.3.ls1.weight", true)).toBe("v.blk.3.ls1.weight");
    expect(feedForwardSwapped(tensors({ "v.blk.0.ffn_down.weight": [4096, 1024] }), 1024)).toBe(true);
    expect(feedForwardSwapped(tensors({ "v.blk.0.ffn_down.weight": [1024, 4096] }), 1024)).toBe(false);
  });
});
