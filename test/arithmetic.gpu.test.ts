import { type Arithmetic, type Device, linear } from "@mask-llava/runtime";
import { Random, upload } from "@mask-llava/runtime/conformance";
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

const [k, n] = [300, 40];
const weights = new Random(2).normals([n, k], { dtype: "f16", scale: 1 / Math.sqrt(k) });

/** x Wᵀ, and the ops that computed it. */
async function product(
  x: { shape: readonly number[]; data: Float64Array },
  arithmetic: Arithmetic,
): Promise<{ values: Float32Array; ops: string[] }> {
  const a = upload(device, { ...x, dtype: "f32" });
  const w = upload(device, weights);
  const cmd = device.record("product");
  const y = linear(cmd, a, w, { arithmetic });
  using program = await cmd.finish({ outputs: [y] });
  const [values] = (await program.runAndRead([y])) as [Float32Array];
  a.dispose();
  w.dispose();
  return { values, ops: program.steps.map(({ op }) => op) };
}

test.each([9, 2])("f16 errs by no more than the rounding of x, %i rows", async (rows) => {
  const x = new Random(1).normals([rows, k]);
  const { values, ops } = await product(x, "f16");
  expect(ops).toEqual(["cast", "matmul"]);
  for (const [i, value] of values.entries()) {
    const row = Math.floor(i / n) * k;
    const column = (i % n) * k;
    let sum = 0;
    let size = 0;
    for (let l = 0; l < k; l++) {
      const term = (x.data[row + l] as number) * (weights.data[column + l] as number);
      sum += term;
      size += Math.abs(term);
    }
    // a normal half is off by at most 2^-11 of it, so a sum by that of its terms' sizes, as products are exact in f32 and
    // its sums off by K·2^-24 of the same at most; subnormal halves by 2^-25, which is less than either here
    expect(Math.abs(value - sum)).toBeLessThan((2 ** -11 + k * 2 ** -24) * size);
  }
});

test("f16 keeps finite what is beyond its range", async () => {
  const x = new Random(1).normals([9, k]);
  for (const [i, large] of [1e5, -3e38, 65520].entries()) x.data[i * k + 7 * i] = large;
  const { values } = await product(x, "f16");
  expect(values.every(Number.isFinite)).toBe(true);
});
