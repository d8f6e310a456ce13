import {
  type GenerationSettings,
  KvCache,
  LlamaNetwork,
  llamaConfigSchema,
  RandomWeights,
  ropeTable,
} from "@mask-llava/models";
import { Device, OutOfMemoryError } from "@mask-llava/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { PrefixRunner } from "../packages/models/src/generation/batch/prefix-runner.ts";
import { Slot } from "../packages/models/src/generation/batch/slot.ts";
import { DecodingState } from "../packages/models/src/generation/decoding-state.ts";
import { type InversionContext, SharedTensors } from "../packages/models/src/mask-inversion/invert.ts";
import { openTestDevice } from "./support/device.ts";

let base: Device;
beforeAll(async () => {
  base = await openTestDevice();
});
afterAll(() => {
  expect(base.buffers.live()).toEqual([]);
  base.dispose();
});

const config = llamaConfigSchema.parse({
  ...{ hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2 },
  ...{ num_key_value_heads: 1, vocab_size: 32, max_position_embeddings: 64, rms_norm_eps: 1e-5 },
});
const settings: GenerationSettings = {
  ...{ doSample: false, temperature: 1, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, seed: undefined },
  ...{ maxNewTokens: 4, maxLength: undefined, eosTokenIds: [2], bosTokenId: 1, padTokenId: undefined },
};

/** The GPU that the tests share, with a budget. */
function deviceWith(budget: number): Device {
  return new Device(base.gpu, base.gpuDevice, base.info, base.caps, budget);
}

test.each<[string, (device: Device, network: LlamaNetwork) => Disposable]>([
  ["a KV cache", (device) => new KvCache(device, config, { capacity: 10 })],
  ["a decoding state", (device) => new DecodingState(device, settings, { capacity: 10 })],
  [
    "a slot",
    (device, network) =>
      new Slot({ device, network, settings, cacheDtype: "f32" }, { batch: 2, capacity: 10 }),
  ],
  [
    "a prefix runner",
    (device, network) => new PrefixRunner(device, network, { capacity: 10, dtype: "f32", mostBytes: 0 }),
  ],
  [
    "what masks of a size share",
    (device) => {
      const grid = { rows: 2, columns: 2 };
      const context = { device, grid, patch: 4 } as InversionContext;
      return new SharedTensors(context, { height: 20, width: 24 });
    },
  ],
])("%s that does not fit leaves nothing behind, whichever of its tensors is refused", async (_, make) => {
  using weights = new RandomWeights(base, {});
  const rope = ropeTable(base, config);
  using _frequencies = rope.inverseFrequencies;
  const network = new LlamaNetwork(weights.weights, config, rope);
  let refused = 0;
  for (let budget = 0; ; budget += 256) {
    const device = deviceWith(budget);
    try {
      make(device, network)[Symbol.dispose]();
      break;
    } catch (error) {
      expect(error).toBeInstanceOf(OutOfMemoryError);
      refused++;
    } finally {
      expect(device.buffers.live()).toEqual([]);
      device.buffers.trim();
    }
  }
  expect(refused).toBeGreaterThan(4);
});

test("a KV cache is refused whole, by what its buffers take", () => {
  const options = { capacity: 10 };
  const device = deviceWith(KvCache.bytes(config, options) + 256); // of its four tensors' 320 bytes each take 512
  expect(() => new KvCache(device, config, options)).toThrow(/the KV cache for 10 positions needs 2\.0 KiB/);
});
