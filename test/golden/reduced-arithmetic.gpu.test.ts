import {
  ClipEncoder,
  KvCache,
  LanguageModel,
  LlamaNetwork,
  llamaConfigSchema,
  RandomWeights,
  ropeTable,
  type WeightDType,
} from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import type { Device, NetworkArithmetic } from "@mask-llava/runtime";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";
import { Fixture, relativeL2 } from "../support/fixtures.ts";

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterEach(() => {
  device.arithmetic = "f32";
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

/** Of a prompt's positions. */
async function logitsOf(
  fixture: Fixture,
  dtype: WeightDType,
  arithmetic: NetworkArithmetic,
): Promise<Float32Array> {
  device.arithmetic = arithmetic;
  using model = await LanguageModel.load(device, fixture.folder, { dtype });
  const options = { doSample: false, maxNewTokens: 1, ignoreEos: true, promptLogits: true };
  const { promptLogits } = await model.generate(fixture.ids("input_ids"), options);
  return promptLogits?.data ?? new Float32Array();
}

// Of one product of normal values: 2^-12 of its size by halves, 0.0053 by q8_0 (bench/notes/matmul.md, quantised.md). The
// rounded inputs of two layers, four each, add in quadrature; the fixture's sharpened softmax adds up to a half again.
test.each([
  ["f16", Math.sqrt(8) * 2 ** -12],
  ["q8", Math.sqrt(8) * 0.0053],
  ["q4", Math.sqrt(8) * 0.0053],
] as const)("a decoder in %s errs by the rounding of its inputs", async (dtype, predicted) => {
  const fixture = await Fixture.open("llama-f16");
  const exact = await logitsOf(fixture, dtype, "f32");
  const error = relativeL2(await logitsOf(fixture, dtype, "reduced"), exact);
  expect(error).toBeGreaterThan(0.5 * predicted);
  expect(error).toBeLessThan(2 * predicted);
});

test("beside weights in f32 nothing is rounded", async () => {
  const fixture = await Fixture.open("llama-f16");
  expect(await logitsOf(fixture, "f32", "reduced")).toEqual(await logitsOf(fixture, "f32", "f32"));
});

test("CLIP in f16 errs by about as much again as its weights do", async () => {
  const fixture = await Fixture.open("clip-gelu");
  const embeds = async (arithmetic: NetworkArithmetic) => {
    device.arithmetic = arithmetic;
    using encoder = await ClipEncoder.load(device, fixture.folder, { dtype: "f16" });
    return (await encoder.encodeImage(await decodeImage(fixture.file(fixture.json.picture)))).imageEmbeds;
  };
  const error = relativeL2(await embeds("reduced"), await embeds("f32"));
  expect(error).toBeGreaterThan(1e-5);
  expect(error).toBeLessThan(1e-3);
});

describe.each(["f16", "q8"] as const)("%s", (dtype) => {
  // two and three tokens are fewer rows than kernels take for many, five times as many are not
  test.each([1, 2, 3, 9])("a sequence of %i tokens gets beside others what it gets alone", async (tokens) => {
    const exact = await hiddenStates(dtype, "f32", 1, tokens);
    const alone = await hiddenStates(dtype, "reduced", 1, tokens);
    const beside = await hiddenStates(dtype, "reduced", 5, tokens);
    const many = await hiddenStates(dtype, "reduced", 17, tokens);
    for (const batch of [beside, many]) {
      // sums are rounded otherwise, which may turn the rounding of an input here and there
      expect(relativeL2(batch.subarray(0, alone.length), alone)).toBeLessThan(2e-5);
      expect(relativeL2(batch.subarray(-alone.length), alone)).toBeLessThan(2e-5);
    }
    if (tokens === 1) expect(alone).toEqual(exact);
    else expect(relativeL2(alone, exact)).toBeGreaterThan(2e-4);
  });
});

/** Of the last layer, for `batch` times the same tokens. [B, T, D] */
async function hiddenStates(
  dtype: WeightDType,
  arithmetic: NetworkArithmetic,
  batch: number,
  tokens: number,
): Promise<Float32Array> {
  device.arithmetic = arithmetic;
  const config = llamaConfigSchema.parse({
    ...{ hidden_size: 64, intermediate_size: 160, num_hidden_layers: 1, num_attention_heads: 2 },
    ...{ num_key_value_heads: 1, vocab_size: 96, max_position_embeddings: 64, rms_norm_eps: 1e-5 },
  });
  using weights = new RandomWeights(device, { dtype });
  const rope = ropeTable(device, config);
  using _ = rope.inverseFrequencies;
  const network = new LlamaNetwork(weights.weights, config, rope);
  await weights.load();
  using cache = new KvCache(device, config, { capacity: 16, batch });
  using start = device.tensor({ shape: [batch], dtype: "u32" }, new Uint32Array(batch));
  const same = Uint32Array.from({ length: batch * tokens }, (_, i) => 3 + 7 * (i % tokens));
  using ids = device.tensor({ shape: [batch, tokens], dtype: "u32" }, same);
  const cmd = device.record("sequences");
  const { lastHiddenState } = network.forward(cmd, network.embed(cmd, ids), cache, start);
  using program = await cmd.finish({ outputs: [lastHiddenState] });
  const [states] = await program.runAndRead([lastHiddenState]);
  return states as Float32Array;
}
