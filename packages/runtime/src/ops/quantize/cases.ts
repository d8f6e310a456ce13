import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { type QuantizedDType, quantGroup } from "../../quantized.ts";
import type { Random } from "../../random.ts";
import type { Shape } from "../../tensor.ts";
import { exactly } from "../permute/cases.ts";
import { quantizeOp } from "./index.ts";
import type { QuantizeInputs, QuantizeParams } from "./spec.ts";

type Source = "f32" | "f16" | "bf16";

function quantizeCase(
  rows: number,
  width: number,
  from: Source,
  to: QuantizedDType,
  { row = 0, of = rows, scale = 1, mean = 0 } = {},
): OpCase<QuantizeInputs, QuantizeParams> {
  const shape = [rows, width];
  const source = (r: Random) => {
    const x = r.normals(shape, { dtype: from === "f16" ? "f16" : "f32", scale, mean });
    if (from !== "bf16") return x;
    const bits = new Uint32Array(Float32Array.from(x.data).buffer);
    const words = Array.from({ length: bits.length / 2 }, (_, i) => {
      return (((bits[2 * i] as number) >>> 16) | ((bits[2 * i + 1] as number) & 0xffff0000)) >>> 0;
    });
    return hostTensor([rows, width / 2], "u32", words);
  };
  return {
    name: `${JSON.stringify(shape)} ${from} ${to}${of > rows ? ` into rows ${row} of ${of}` : ""} scale ${scale} mean ${mean}`,
    params: { row, dtype: to },
    inputs: (r) => ({ x: source(r), target: r.normals([of, width], { dtype: to }) }),
    tolerance: exactly,
  };
}

/** Groups at the corners: zeros, ties of the rounding, the largest value twice, subnormal and too large scales, a NaN. */
const corners: readonly (readonly number[])[] = [
  Array(quantGroup).fill(0),
  Array(quantGroup).fill(-0),
  // d is 1 in q8_0, 0.5 in q4_0: every second value is a tie
  [127, ...Array.from({ length: quantGroup - 1 }, (_, i) => (i - 15) / 2)],
  [-4, ...Array.from({ length: quantGroup - 1 }, (_, i) => (i - 15) / 4)],
  [8, -8, ...Array.from({ length: quantGroup - 2 }, (_, i) => i - 15)],
  Array.from({ length: quantGroup }, (_, i) => (i - 9) * 2 ** -24),
  Array.from({ length: quantGroup }, (_, i) => (i - 9) * 1e-30),
  Array.from({ length: quantGroup }, (_, i) => 100 + i * 2 ** -10),
  Array.from({ length: quantGroup }, (_, i) => (i - 9) * 3e4),
  Array.from({ length: quantGroup }, (_, i) => (i - 9) * 1e36),
  Array.from({ length: quantGroup }, (_, i) => (i === 7 ? Number.NaN : i)),
  Array.from({ length: quantGroup }, (_, i) => (i === 31 ? Number.NEGATIVE_INFINITY : i)),
];

const cornerCase = (to: QuantizedDType): OpCase<QuantizeInputs, QuantizeParams> => ({
  name: `corners of ${to}`,
  params: { row: 0, dtype: to },
  inputs: (r) => ({
    x: hostTensor([corners.length, quantGroup], "f32", corners.flat()),
    target: r.normals([corners.length, quantGroup], { dtype: to }),
  }),
  tolerance: exactly,
});

/** Without a target: a tensor of its own. */
const freshCase = (shape: Shape, to: QuantizedDType): OpCase<QuantizeInputs, QuantizeParams> => ({
  name: `${JSON.stringify(shape)} f32 to a new ${to}`,
  params: { row: 0, dtype: to },
  inputs: (r) => ({ x: r.normals(shape), target: undefined }),
  tolerance: exactly,
});

const dtypes: QuantizedDType[] = ["q8_0", "q4_0", "q4_1"];

export const quantizeSuite = suite(
  quantizeOp,
  dtypes.flatMap((to) => [
    quantizeCase(1, 32, "f32", to),
    quantizeCase(9, 160, "f32", to, { scale: 0.02 }),
    quantizeCase(9, 160, "f16", to, { scale: 0.02, mean: 0.05 }),
    quantizeCase(5, 96, "bf16", to, { mean: -2 }),
    // groups with padding; rows that start in the middle of a word of scales
    quantizeCase(7, 37, "f32", to, { row: 1, of: 11 }),
    quantizeCase(3, 3, "f16", to, { row: 2, of: 5 }),
    quantizeCase(3, 70, "bf16", to, { scale: 1e-3 }),
    cornerCase(to),
    freshCase([2, 5, 64], to),
  ]),
);
