import { type OpCase, suite } from "../../op-case.ts";
import { pairwiseProductOp } from "./index.ts";
import type { PairwiseProductInputs } from "./spec.ts";

function productCase(m: number, n: number, f: number): OpCase<PairwiseProductInputs, Record<string, never>> {
  return {
    name: `${m} x ${n} rows of ${f}`,
    params: {},
    inputs: (r) => ({ a: r.normals([n, f]), b: r.normals([m, f]) }),
  };
}

export const pairwiseProductSuite = suite(pairwiseProductOp, [
  productCase(1, 1, 1),
  productCase(3, 7, 13),
  productCase(4, 9, 68),
]);
