import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { maxPool2dOp } from "./index.ts";
import type { MaxPool2dInputs, MaxPool2dParams } from "./spec.ts";

function maxPoolCase(
  x: Shape,
  params: MaxPool2dParams,
  benchOnly = false,
): OpCase<MaxPool2dInputs, MaxPool2dParams> {
  const { kernel, stride, padding, dilation } = params;
  return {
    name: `${JSON.stringify(x)} k${kernel} s${stride} p${padding} d${dilation}`,
    params,
    // all of them negative, so that padding with zeros would show
    inputs: (r) => ({ x: r.normals(x, { mean: -10 }) }),
    // one of the inputs, unchanged
    tolerance: { abs: 0, rel: 0 },
    benchOnly,
  };
}

export const maxPool2dSuite = suite(maxPool2dOp, [
  maxPoolCase([1, 1, 1, 1], { kernel: [1, 1], stride: [1, 1], padding: [0, 0], dilation: [1, 1] }),
  maxPoolCase([2, 3, 13, 17], { kernel: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1] }),
  maxPoolCase([1, 5, 10, 7], { kernel: [2, 2], stride: [2, 2], padding: [0, 0], dilation: [1, 1] }),
  maxPoolCase([2, 2, 11, 9], { kernel: [4, 2], stride: [1, 3], padding: [2, 1], dilation: [2, 3] }),
  maxPoolCase([1, 64, 112, 112], { kernel: [3, 3], stride: [2, 2], padding: [1, 1], dilation: [1, 1] }, true),
]);
