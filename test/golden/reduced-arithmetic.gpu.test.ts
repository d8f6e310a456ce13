import { ClipEncoder, LanguageModel, type WeightDType } from "@mask-llava/models";
import { decodeImage } from "@mask-llava/models/node";
import type { Device, NetworkArithmetic } from "@mask-llava/runtime";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
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
