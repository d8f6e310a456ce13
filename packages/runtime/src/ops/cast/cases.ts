import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { exactly, values } from "../permute/cases.ts";
import { castOp } from "./index.ts";
import type { CastInputs, CastParams } from "./spec.ts";

function castCase(shape: Shape, from: DType, to: DType): OpCase<CastInputs, CastParams> {
  return {
    name: `${JSON.stringify(shape)} ${from} to ${to}`,
    params: { to },
    inputs: (r) => ({ x: values(r, shape, from) }),
    tolerance: exactly,
  };
}

/** Halves between two f32 neighbours, at the ends of the range and below its normal numbers. */
const corners = [
  0,
  -0,
  1,
  1 + 2 ** -11,
  1 + 3 * 2 ** -11,
  65504,
  65519.99,
  65520,
  -1e6,
  2 ** -14,
  2 ** -14 - 2 ** -26,
  2 ** -15,
  2 ** -24,
  2 ** -25,
  1.0001 * 2 ** -25,
  3 * 2 ** -25,
  -(2 ** -26),
  1e-30,
  Number.POSITIVE_INFINITY,
  Number.NaN,
];

export const castSuite = suite(castOp, [
  castCase([1], "f32", "f16"),
  castCase([7, 9], "f32", "f16"),
  {
    ...castCase([corners.length], "f32", "f16"),
    name: "corners of f16",
    inputs: () => ({ x: hostTensor([corners.length], "f32", corners) }),
  },
  {
    ...castCase([corners.length], "f32", "f16"),
    name: "corners of f16, kept finite",
    params: { to: "f16", finite: true },
    inputs: () => ({ x: hostTensor([corners.length], "f32", corners) }),
  },
  castCase([5, 13], "f16", "f32"),
  castCase([9, 3], "i32", "f32"),
  castCase([3, 11], "u32", "f32"),
]);
