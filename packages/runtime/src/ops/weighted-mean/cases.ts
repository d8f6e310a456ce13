import { type OpCase, suite } from "../../op-case.ts";
import { weightedMeanOp } from "./index.ts";
import type { WeightedMeanInputs } from "./spec.ts";

function meanCase(
  m: number,
  n: number,
  f: number,
  weighted: boolean,
): OpCase<WeightedMeanInputs, Record<string, never>> {
  return {
    name: `${m}x${n}x${f}${weighted ? " weighted" : ""}`,
    params: {},
    inputs: (r) => ({
      x: r.normals([m, n, f], { mean: 0.5 }),
      weight: weighted ? r.normals([n, f]) : undefined,
    }),
    // eight sums of n / 8 terms: some tens of roundings of values below 10, divided by n
    tolerance: { abs: 2e-6, rel: 2e-6 },
  };
}

export const weightedMeanSuite = suite(weightedMeanOp, [
  meanCase(1, 1, 1, true),
  meanCase(3, 7, 13, true),
  meanCase(2, 130, 68, true),
  meanCase(2, 9, 18, false),
  meanCase(1, 77, 20, false),
]);
