import {
  KvCache,
  LlamaNetwork,
  llamaConfigSchema,
  RandomWeights,
  ropeTable,
  type WeightDType,
} from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

/** Dispatches of a step of `batch` sequences, of so many tokens each, through so many layers. */
async function dispatches(dtype: WeightDType, layers: number, batch: number, tokens = 1): Promise<number> {
  const config = llamaConfigSchema.parse({
    ...{ hidden_size: 128, intermediate_size: 352, num_hidden_layers: layers, num_attention_heads: 4 },
    ...{ num_key_value_heads: 2, vocab_size: 96, max_position_embeddings: 2048, rms_norm_eps: 1e-5 },
  });
  using weights = new RandomWeights(device, { dtype });
  const rope = ropeTable(device, config);
  using _ = rope.inverseFrequencies;
  const network = new LlamaNetwork(weights.weights, config, rope);
  await weights.load();
  const cache = new KvCache(device, config, { capacity: 704, batch, dtype: "f32" });
  using start = device.tensor({ shape: [batch], dtype: "u32" }, new Uint32Array(batch).fill(11));
  using ids = device.tensor(
    { shape: [batch, tokens], dtype: "u32" },
    new Uint32Array(batch * tokens).fill(3),
  );
  const cmd = device.record("step");
  const { lastHiddenState } = network.forward(cmd, network.embed(cmd, ids), cache, start);
  using program = await cmd.finish({ outputs: [lastHiddenState] });
  const count = program.dispatches;
  cache.dispose();
  return count;
}

// RMS norm with q, k and v; RoPE and append; attention, at most two; o and residual; RMS norm, gate and up; down and residual
test.each(["f32", "f16", "q8", "q4"] as const)(
  "a decoded token takes few dispatches a layer, %s",
  async (dtype) => {
    const [one, three] = [await dispatches(dtype, 1, 1), await dispatches(dtype, 3, 1)];
    expect((three - one) / 2).toBeLessThanOrEqual(7);
  },
);

test("reduced arithmetic rounds the inputs of several tokens, and costs a decoded token nothing", async () => {
  const sizes = [
    [1, 1],
    [9, 1],
    [16, 1],
    [1, 9],
  ] as const;
  const all = () => Promise.all(sizes.map(([batch, tokens]) => dispatches("f16", 1, batch, tokens)));
  const exact = await all();
  device.arithmetic = "reduced";
  const reduced = await all();
  device.arithmetic = "f32";
  // the inputs of q, k and v; of o; of gate and up; of down
  expect(reduced.map((count, i) => count - (exact[i] as number))).toEqual([0, 0, 0, 4]);
});
