import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { exactly, values } from "../permute/cases.ts";
import { sliceOp } from "./index.ts";
import type { SliceInputs, SliceParams } from "./spec.ts";

function sliceCase(
  shape: Shape,
  starts: readonly number[],
  ends: readonly number[],
  dtype: DType = "f32",
): OpCase<SliceInputs, SliceParams> {
  return {
    name: `${JSON.stringify(shape)} ${JSON.stringify(starts)} to ${JSON.stringify(ends)} ${dtype}`,
    params: { starts, ends },
    inputs: (r) => ({ x: values(r, shape, dtype) }),
    tolerance: exactly,
  };
}

export const sliceSuite = suite(sliceOp, [
  sliceCase([9], [2], [7]),
  sliceCase([7, 8], [3, 0], [6, 8]),
  sliceCase([7, 8], [0, 4], [7, 8]),
  sliceCase([7, 9], [1, 2], [6, 5], "i32"),
  sliceCase([3, 1, 6, 5], [0, 0, 1, 1], [3, 1, 4, 5], "u32"),
  sliceCase([2, 5, 4, 3, 6], [1, 1, 0, 1, 2], [2, 4, 3, 3, 5]),
  sliceCase([5, 16], [1, 8], [4, 16], "f16"),
  sliceCase([5, 7], [1, 1], [4, 6], "f16"),
]);
