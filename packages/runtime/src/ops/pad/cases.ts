import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { exactly, values } from "../permute/cases.ts";
import { padOp } from "./index.ts";
import type { PadInputs, PadParams } from "./spec.ts";

function padCase(
  shape: Shape,
  padding: readonly (readonly [number, number])[],
  value = 0,
  dtype: DType = "f32",
): OpCase<PadInputs, PadParams> {
  return {
    name: `${JSON.stringify(shape)} by ${JSON.stringify(padding)} of ${value} ${dtype}`,
    params: { padding, value },
    inputs: (r) => ({ x: values(r, shape, dtype) }),
    tolerance: exactly,
  };
}

export const padSuite = suite(padOp, [
  padCase([5], [[2, 1]]),
  padCase(
    [3, 8],
    [
      [1, 0],
      [0, 0],
    ],
    -1.5,
  ),
  padCase(
    [2, 3, 5],
    [
      [0, 0],
      [1, 2],
      [3, 0],
    ],
    7,
    "i32",
  ),
  padCase(
    [2, 1, 4, 6],
    [
      [0, 0],
      [0, 0],
      [1, 1],
      [2, 1],
    ],
    3,
    "u32",
  ),
  padCase(
    [2, 3, 2, 3, 2, 3],
    [
      [1, 0],
      [0, 1],
      [1, 1],
      [0, 2],
      [1, 0],
      [0, 1],
    ],
  ),
  padCase(
    [4, 6],
    [
      [1, 1],
      [2, 0],
    ],
    0.5,
    "f16",
  ),
  padCase(
    [3, 8],
    [
      [0, 2],
      [0, 0],
    ],
    -2,
    "f16",
  ),
]);
