import type { HostTensor } from "../../host-tensor.ts";
import { type OpCase, suite, type Tolerance } from "../../op-case.ts";
import type { Random } from "../../random.ts";
import type { DType, Shape } from "../../tensor.ts";
import { permuteOp } from "./index.ts";
import type { PermuteInputs, PermuteParams } from "./spec.ts";

/** Bytes move unchanged. */
export const exactly: Tolerance = { abs: 0, rel: 0 };

/** Random values of any dtype. */
export function values(r: Random, shape: Shape, dtype: DType): HostTensor {
  return dtype === "i32" || dtype === "u32"
    ? r.integers(shape, dtype === "i32" ? -(2 ** 31) : 0, 2 ** 31, dtype)
    : r.normals(shape, { dtype });
}

function permuteCase(
  shape: Shape,
  axes: readonly number[],
  dtype: DType = "f32",
  benchOnly = false,
): OpCase<PermuteInputs, PermuteParams> {
  return {
    name: `${JSON.stringify(shape)} ${JSON.stringify(axes)} ${dtype}`,
    params: { axes },
    inputs: (r) => ({ x: values(r, shape, dtype) }),
    tolerance: exactly,
    benchOnly,
  };
}

export const permuteSuite = suite(permuteOp, [
  permuteCase([], []),
  permuteCase([7], [0]),
  permuteCase([33, 65], [1, 0]),
  permuteCase([3, 5], [1, 0], "i32"),
  permuteCase([2, 3, 9, 11], [0, 2, 3, 1], "u32"),
  permuteCase([3, 40, 37], [0, 2, 1]),
  permuteCase([2, 5, 3, 8], [0, 2, 1, 3]),
  permuteCase([2, 5, 3, 7], [0, 2, 1, 3]),
  permuteCase([2, 3, 2, 3, 4, 5], [5, 3, 1, 4, 2, 0]),
  permuteCase([2, 5, 3, 8], [0, 2, 1, 3], "f16"),
  permuteCase([2, 5, 3, 6], [2, 0, 1, 3], "f16"),
  permuteCase([9, 7], [1, 0], "f16"),
  permuteCase([1024, 1024], [1, 0], "f32", true),
  permuteCase([1, 577, 16, 64], [0, 2, 1, 3], "f32", true),
]);
