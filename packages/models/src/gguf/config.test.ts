import { describe, expect, test } from "vitest";
import { projectorConfig } from "./clip-config.ts";
import { llamaConfig } from "./llama-config.ts";
import { GgufMetadata } from "./metadata.ts";
import type { GgufValue } from "./metadata-reader.ts";

const metadata = (values: Readonly<Record<string, GgufValue>>) =>
  new GgufMetadata("m.gguf", new Map(Object.entries(values)));

const llama = {
  "general.architecture": "llama",
  "llama.embedding_length": 32,
  "llama.feed_forward_length": 64,
  "llama.block_count": 2,
  "llama.context_length": 128,
  "llama.attention.head_count": 4,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
  "llama.vocab_size": 300,
};
const vision = {
  "general.architecture": "clip",
  "clip.vision.image_size": 28,
  "clip.vision.patch_size": 14,
  "clip.vision.embedding_length": 32,
  "clip.vision.feed_forward_length": 64,
  "clip.vision.block_count": 2,
  "clip.vision.attention.head_count": 4,
  "clip.vision.attention.layer_norm_epsilon": 1e-5,
};

describe("a decoder", () => {
  const read = (changes: Readonly<Record<string, GgufValue>>) =>
    llamaConfig(metadata({ ...llama, ...changes }), new Map(), undefined);

  test("is described in Hugging Face's terms", () => {
    expect(read({})).toMatchObject({ num_hidden_layers: 2, head_dim: 8, vocab_size: 300 });
  });

  test.each<readonly [string, Readonly<Record<string, GgufValue>>]>([
    ["llama.block_count", { "llama.block_count": 2_000_000_000 }],
    ["llama.attention.key_length", { "llama.attention.key_length": 2_000_000_000 }],
    [
      "llama.attention.head_count",
      { "llama.embedding_length": 2_000_000_000, "llama.attention.head_count": 1 },
    ],
  ])("of incredible size is refused by %s", (field, changes) => {
    expect(() => read(changes)).toThrow(expect.objectContaining({ code: "CONFIG", file: "m.gguf", field }));
  });
});

test("a vision tower of incredible depth is refused", () => {
  const read = (blocks: number) =>
    projectorConfig(metadata({ ...vision, "clip.vision.block_count": blocks }), new Map());
  expect(read(2).model.vision_config).toMatchObject({ num_hidden_layers: 2 });
  expect(() => read(2_000_000_000)).toThrow(
    /m\.gguf: clip\.vision\.block_count: .*found 2000000000, expected an integer from 1 to 4096/,
  );
});
