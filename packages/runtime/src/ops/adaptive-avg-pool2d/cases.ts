import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import type { Pair } from "../conv2d/spec.ts";
import { adaptiveAvgPool2dOp } from "./index.ts";
import type { AdaptiveAvgPool2dInputs, AdaptiveAvgPool2dParams } from "./spec.ts";

function adaptiveCase(
  x: Shape,
  outputSize: Pair,
  benchOnly = false,
): OpCase<AdaptiveAvgPool2dInputs, AdaptiveAvgPool2dParams> {
  return {
    name: `${JSON.stringify(x)} to ${outputSize}`,
    params: { outputSize },
    inputs: (r) => ({ x: r.normals(x) }),
    // a mean of at most 24 x 24 values of size 1: rounding of sums that stay below 60, divided by their count
    tolerance: { abs: 2e-6, rel: 2e-6 },
    benchOnly,
  };
}

export const adaptiveAvgPool2dSuite = suite(adaptiveAvgPool2dOp, [
  adaptiveCase([1, 1, 1, 1], [1, 1]),
  adaptiveCase([2, 3, 24, 24], [1, 1]),
  adaptiveCase([1, 5, 24, 24], [6, 8]),
  adaptiveCase([2, 3, 24, 24], [5, 7]),
  adaptiveCase([1, 2, 13, 9], [13, 9]),
  adaptiveCase([1, 2, 3, 5], [7, 4]),
  adaptiveCase([1, 1024, 24, 24], [12, 12], true),
]);
