import { KvCache, LlamaNetwork, llamaConfigSchema, RandomWeights, ropeTable } from "@mask-llava/models";
import { fillUniform } from "@mask-llava/runtime";
import type { Size } from "../common/sizes.ts";
import type { NetworkKind } from "./network.ts";

interface Shape {
  readonly hidden: number;
  readonly inner: number;
  readonly layers: number;
  readonly vocabulary: number;
}

/** One layer of LLaMA-7B with its embedding and head, and a few smaller ones with its heads. */
const shapes = {
  tiny: { hidden: 256, inner: 704, layers: 2, vocabulary: 1024 },
  small: { hidden: 768, inner: 2048, layers: 3, vocabulary: 4096 },
  real: { hidden: 4096, inner: 11008, layers: 1, vocabulary: 32000 },
} as const satisfies Record<Size, Shape>;

/** LLaMA-7B's number of layers, so narrow that the host's part of a step is what shows. */
const deep: Shape = { hidden: 128, inner: 256, layers: 32, vocabulary: 256 };

/** Positions of the cache: a prompt with all of LLaVA's patches, and an answer. */
const capacity = 704;

function configOf({ hidden, inner, layers, vocabulary }: Shape) {
  return llamaConfigSchema.parse({
    hidden_size: hidden,
    intermediate_size: inner,
    num_hidden_layers: layers,
    num_attention_heads: hidden / 128,
    vocab_size: vocabulary,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
  });
}

interface Call {
  /** Of each sequence, at the positions behind `past`. */
  readonly tokens: number;
  readonly past: number;
  readonly batch?: number;
  /** Default: the size's. */
  readonly shape?: Shape;
}

function llama(name: string, { tokens, past, batch = 1, shape }: Call): NetworkKind {
  return {
    name,
    tokens: batch * tokens,
    shape(size) {
      const { hidden, layers } = shape ?? shapes[size];
      const sequences = batch > 1 ? `${batch} sequences, ` : "";
      return `${layers} layers of ${hidden}, ${sequences}${tokens} tokens after ${past}`;
    },
    async open(device, { size, dtype }) {
      const config = configOf(shape ?? shapes[size]);
      const weights = new RandomWeights(device, { dtype });
      const rope = ropeTable(device, config);
      const network = new LlamaNetwork(weights.weights, config, rope);
      await weights.load();
      const cache = new KvCache(device, config, { capacity, batch, dtype });
      const fill = device.record("past keys and values");
      for (const [i, tensor] of [...cache.keys, ...cache.values].entries())
        fillUniform(fill, tensor, { seed: i + 1, range: 1, mean: 0 });
      using filled = await fill.finish();
      filled.run();
      const start = device.tensor(
        { shape: [batch], dtype: "u32", label: "start" },
        new Uint32Array(batch).fill(past),
      );
      const ids = device.tensor(
        { shape: [batch, tokens], dtype: "u32", label: "input_ids" },
        Uint32Array.from({ length: batch * tokens }, (_, i) => (i * 7919 + 13) % config.vocab_size),
      );
      return {
        weightBytes: weights.bytes + KvCache.bytes(config, { capacity, batch, dtype }),
        inputs: [ids, start, ...cache.keys, ...cache.values],
        record(cmd) {
          const x = network.embed(cmd, ids); // [B, T, D]
          const { lastHiddenState } = network.forward(cmd, x, cache, start); // [B, T, D]
          return [network.logits(cmd, network.lastRow(cmd, lastHiddenState))]; // [B, V]
        },
        [Symbol.dispose]() {
          for (const t of [ids, start, rope.inverseFrequencies]) t.dispose();
          cache.dispose();
          weights.dispose();
        },
      };
    },
  };
}

export const llamaPrefill = llama("LLaMA prefill", { tokens: 104, past: 0 });
export const llamaDecode = llama("LLaMA decode", { tokens: 1, past: 703 });
/** What encoding and submitting a step of 32 layers takes. */
export const llamaDeep = llama("LLaMA host", { tokens: 1, past: 703, shape: deep });
/** A step of many sequences, which reads the weights once for all of them. */
export const llamaBatches = [4, 8, 16, 32].map((batch) =>
  llama(`LLaMA batch of ${batch}`, { tokens: 1, past: 703, batch }),
);
