import { KvCache, LlamaNetwork, llamaConfigSchema, RandomWeights, ropeTable } from "@mask-llava/models";
import { fillUniform } from "@mask-llava/runtime";
import type { Size } from "../common/sizes.ts";
import type { NetworkKind } from "./network.ts";

/** One layer of LLaMA-7B with its embedding and head, and a few smaller ones with its heads. */
const shapes = {
  tiny: { hidden: 256, inner: 704, layers: 2, vocabulary: 1024 },
  small: { hidden: 768, inner: 2048, layers: 3, vocabulary: 4096 },
  real: { hidden: 4096, inner: 11008, layers: 1, vocabulary: 32000 },
} as const satisfies Record<Size, object>;

/** Positions of the cache: a prompt with all of LLaVA's patches, and an answer. */
const capacity = 704;

export function llamaConfig(size: Size) {
  const { hidden, inner, layers, vocabulary } = shapes[size];
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

/** @param tokens of one call, at the positions behind `past` */
function llama(name: string, tokens: number, past: number): NetworkKind {
  return {
    name,
    shape(size) {
      const { hidden, layers } = shapes[size];
      return `${layers} layers of ${hidden}, ${tokens} tokens after ${past}`;
    },
    async open(device, { size, dtype }) {
      const config = llamaConfig(size);
      const weights = new RandomWeights(device, { dtype });
      const rope = ropeTable(device, config);
      const network = new LlamaNetwork(weights.weights, config, rope);
      await weights.load();
      const cache = new KvCache(device, config, { capacity, dtype });
      const fill = device.record("past keys and values");
      for (const [i, tensor] of [...cache.keys, ...cache.values].entries())
        fillUniform(fill, tensor, { seed: i + 1, range: 1, mean: 0 });
      using filled = await fill.finish();
      filled.run();
      const start = device.tensor({ shape: [1], dtype: "u32", label: "start" }, Uint32Array.of(past));
      const ids = device.tensor(
        { shape: [1, tokens], dtype: "u32", label: "input_ids" },
        Uint32Array.from({ length: tokens }, (_, i) => (i * 7919 + 13) % config.vocab_size),
      );
      return {
        weightBytes: weights.bytes + KvCache.bytes(config, { capacity, dtype }),
        inputs: [ids, start, ...cache.keys, ...cache.values],
        record(cmd) {
          const x = network.embed(cmd, ids); // [1, T, D]
          const { lastHiddenState } = network.forward(cmd, x, cache, start); // [1, T, D]
          return [network.logits(cmd, network.lastRow(cmd, lastHiddenState))]; // [1, V]
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

export const llamaPrefill = llama("LLaMA prefill", 104, 0);
export const llamaDecode = llama("LLaMA decode", 1, 703);
