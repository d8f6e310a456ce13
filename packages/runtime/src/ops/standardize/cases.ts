import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { standardizeOp } from "./index.ts";
import type { StandardizeInputs, StandardizeParams } from "./spec.ts";

function standardizeCase(shape: Shape, mean: number): OpCase<StandardizeInputs, StandardizeParams> {
  return {
    name: `${JSON.stringify(shape)} mean ${mean}`,
    params: { eps: 1e-5 },
    inputs: (r) => ({ x: r.normals(shape, { mean, scale: 1.7 }) }),
    // as layerNorm's: sums over threads and a tree, and the mean's own rounding
    tolerance: { abs: 2e-6 + 2.5e-7 * Math.abs(mean), rel: 2e-6 },
  };
}

export const standardizeSuite = suite(standardizeOp, [
  standardizeCase([1, 1], 0),
  standardizeCase([37, 12], 0.3),
  standardizeCase([2, 5, 333], 20),
]);
