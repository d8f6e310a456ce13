import { type BlockFormat, blockFormats, type DType, noFault, unpackBlocksOp } from "@mask-llava/runtime";
import { checkVariant, type OpCase, Random } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";

/** The targets below are bound part by part. */
const limit = 16384;

let device: Awaited<ReturnType<typeof openTestDevice>>;
beforeAll(async () => {
  device = await openTestDevice({ limits: { maxStorageBufferBindingSize: limit } });
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

type Case = OpCase<Parameters<typeof unpackBlocksOp.infer>[0], Parameters<typeof unpackBlocksOp.infer>[1]>;

/** Blocks of bytes whose scales are small numbers: their high byte is that of 0.01. */
function blocksOf(r: Random, format: BlockFormat, count: number) {
  const { bytes } = blockFormats[format];
  const data = new Uint8Array(Math.ceil((count * bytes) / 4) * 4).map(() => r.integer(0, 256));
  const scales = format === "Q6_K" ? [209] : format === "Q8_0" || format === "Q4_0" ? [1] : [1, 3];
  for (let b = 0; b < count; b++) for (const at of scales) data[b * bytes + at] = 0x21;
  const words = Float64Array.from(new Uint32Array(data.buffer));
  return { shape: [words.length], dtype: "u32" as const, data: words };
}

describe(`targets beyond a binding of ${limit} bytes`, () => {
  test.each([
    ["Q6_K", "f32", 24, 2, 12, 6],
    ["Q4_0", "f16", 150, 3, 60, 30],
    ["Q8_0", "q8_0", 400, 1, 100, 20],
    ["Q4_1", "q4_1", 96, 8, 48, 0],
  ] as const)(
    "%s to %s: %i rows of %i blocks, %i of them, heads of %i",
    async (format, to, of, perRow, rows, headRows) => {
      const width = perRow * blockFormats[format].weights;
      const testCase: Case = {
        name: "windows",
        params: { format, row: rows, rows, headRows, slot: 0 },
        tolerance: { abs: 0, rel: 0 },
        inputs: (r) => ({
          blocks: blocksOf(r, format, rows * perRow),
          target: r.normals([of, width], { dtype: to as DType }),
          faults: { shape: [1], dtype: "u32", data: Float64Array.of(noFault) },
        }),
      };
      const variant = to === "f32" || to === "f16" ? "values" : "planes";
      const result = await checkVariant(device, unpackBlocksOp, testCase, variant, new Random(5));
      expect(result.ok, result.message).toBe(true);
    },
  );
});
