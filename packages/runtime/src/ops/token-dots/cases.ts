import { type OpCase, suite } from "../../op-case.ts";
import { tokenDotsOp } from "./index.ts";
import type { TokenDotsInputs } from "./spec.ts";

function dotsCase(m: number, n: number, d: number): OpCase<TokenDotsInputs, Record<string, never>> {
  return {
    name: `${m}x${n}x${d}`,
    params: {},
    inputs: (r) => ({
      x: r.normals([m, n, d]),
      shared: r.normals([d], { scale: 1 / Math.sqrt(d) }),
      own: r.normals([n, d], { scale: 1 / Math.sqrt(d) }),
    }),
    // sums of D terms of size 1/sqrt(D), each thread a few of them: some roundings of values of size 1
    tolerance: { abs: 2e-6, rel: 2e-6 },
  };
}

export const tokenDotsSuite = suite(tokenDotsOp, [
  dotsCase(1, 1, 1),
  dotsCase(3, 7, 13),
  dotsCase(2, 9, 332),
]);
