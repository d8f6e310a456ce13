import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { randomUniformOp } from "./index.ts";
import type { RandomUniformInputs, RandomUniformParams } from "./spec.ts";

function fillCase(
  shape: Shape,
  dtype: DType,
  params: RandomUniformParams,
): OpCase<RandomUniformInputs, RandomUniformParams> {
  return {
    name: `${dtype} ${JSON.stringify(shape)}`,
    params,
    inputs: (r) => ({ target: r.normals(shape, { dtype }) }),
    // a half is rounded once: 2^-11 relative; an f32 by one multiply-add
    tolerance: dtype === "f16" ? { abs: 1e-6, rel: 2 ** -11 } : { abs: 2e-7, rel: 2e-7 },
  };
}

export const randomUniformSuite = suite(randomUniformOp, [
  fillCase([1], "f32", { range: 1, mean: 0, seed: 0 }),
  fillCase([7, 33], "f32", { range: 0.5, mean: 1, seed: 12345 }),
  fillCase([101, 7], "f16", { range: 2, mean: 0, seed: 7 }),
  fillCase([64, 64], "f16", { range: 0.125, mean: 1, seed: 99 }),
  fillCase([5, 96], "q8_0", { range: 0.5, mean: 0, seed: 3 }),
  fillCase([7, 37], "q4_0", { range: 2, mean: 0, seed: 4 }),
  fillCase([3, 64], "q4_1", { range: 0.3, mean: 1, seed: 5 }),
]);
