import {
  KvCache,
  LlamaNetwork,
  llamaConfigSchema,
  RandomWeights,
  ropeTable,
  type WeightDType,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { type Measured, measureProgram } from "./measure.ts";

/** One decoder layer of LLaMA-7B's shape with embedding and head, over a prompt of `tokens`; random weights. */
export async function llama7bLayer(device: Device, tokens: number, dtype: WeightDType): Promise<Measured> {
  const config = llamaConfigSchema.parse({
    num_hidden_layers: 1,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
  });
  using weights = new RandomWeights(device, { dtype });
  const rope = ropeTable(device, config);
  using frequencies = rope.inverseFrequencies;
  const network = new LlamaNetwork(weights.weights, config, { ...rope, inverseFrequencies: frequencies });
  await weights.load();
  using cache = new KvCache(device, config, { capacity: 704, dtype: "f16" });
  using start = device.tensor({ shape: [1], dtype: "u32", label: "start" }, new Uint32Array(1));
  const ids = Uint32Array.from({ length: tokens }, (_, i) => (i * 7919) % config.vocab_size);
  const cmd = device.record(`llama-7b layer, ${tokens} tokens`);
  const x = network.embed(cmd, cmd.constant({ shape: [1, tokens], dtype: "u32", label: "input_ids" }, ids)); // [1, T, D]
  const { lastHiddenState } = network.forward(cmd, x, cache, start); // [1, T, D]
  const logits = network.logits(cmd, network.lastRow(cmd, lastHiddenState)); // [1, V]
  return await measureProgram(
    cmd,
    [logits],
    weights.bytes + KvCache.bytes(config, { capacity: 704, dtype: "f16" }),
  );
}
