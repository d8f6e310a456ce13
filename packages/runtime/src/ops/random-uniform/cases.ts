import { suite } from "../../op-case.ts";
import { randomUniformOp } from "./index.ts";
import type { RandomUniformParams } from "./spec.ts";

const params: RandomUniformParams[] = [
  { shape: [1], dtype: "f32", range: 1, mean: 0, seed: 0 },
  { shape: [7, 33], dtype: "f32", range: 0.5, mean: 1, seed: 12345 },
  { shape: [101, 7], dtype: "f16", range: 2, mean: 0, seed: 7 },
];

export const randomUniformSuite = suite(
  randomUniformOp,
  params.map((p) => ({
    name: `${p.dtype} ${JSON.stringify(p.shape)}`,
    params: p,
    inputs: () => ({}),
    // a half is rounded once: 2^-11 relative; an f32 by one multiply-add
    tolerance: p.dtype === "f16" ? { abs: 1e-6, rel: 2 ** -11 } : { abs: 2e-7, rel: 2e-7 },
  })),
);
