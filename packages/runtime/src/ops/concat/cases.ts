import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { exactly, values } from "../permute/cases.ts";
import { concatOp } from "./index.ts";
import type { ConcatInputs, ConcatParams } from "./spec.ts";

function concatCase(
  shapes: readonly Shape[],
  axis: number,
  dtype: DType = "f32",
): OpCase<ConcatInputs, ConcatParams> {
  return {
    name: `${shapes.map((s) => JSON.stringify(s)).join(" ")} axis ${axis} ${dtype}`,
    params: { axis },
    inputs: (r) => Object.fromEntries(shapes.map((shape, i) => [`x${i}`, values(r, shape, dtype)])),
    tolerance: exactly,
  };
}

export const concatSuite = suite(concatOp, [
  concatCase([[3, 4]], 0),
  concatCase([[1], [6], [2]], 0, "u32"),
  concatCase(
    [
      [1, 8],
      [5, 8],
      [2, 8],
    ],
    0,
  ),
  concatCase(
    [
      [3, 5],
      [3, 2],
    ],
    -1,
    "i32",
  ),
  concatCase(
    [
      [2, 8],
      [2, 4],
      [2, 12],
    ],
    1,
  ),
  concatCase(
    [
      [2, 3, 5],
      [2, 0, 5],
      [2, 4, 5],
    ],
    1,
  ),
  concatCase(
    [
      [2, 3, 4],
      [2, 1, 4],
    ],
    1,
    "f16",
  ),
  concatCase(
    [
      [3, 8],
      [3, 16],
    ],
    1,
    "f16",
  ),
]);
