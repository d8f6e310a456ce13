import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import type { NormParams } from "../layer-norm/spec.ts";
import { rmsNormOp } from "./index.ts";
import type { RmsNormInputs } from "./spec.ts";

function rmsNormCase(
  shape: Shape,
  { dtype = "f32", benchOnly = false }: { dtype?: DType; benchOnly?: boolean } = {},
): OpCase<RmsNormInputs, NormParams> {
  return {
    name: `${JSON.stringify(shape)} ${dtype}`,
    params: { eps: 1e-6 },
    inputs: (r) => ({
      x: r.normals(shape, { mean: 0.2 }),
      weight: r.normals([shape.at(-1) as number], { mean: 1, scale: 0.2, dtype }),
    }),
    // a sum of squares has no cancellation: its roundings and those of the root and two products are relative
    tolerance: { abs: 1e-7, rel: 2e-6 },
    benchOnly,
  };
}

export const rmsNormSuite = suite(rmsNormOp, [
  rmsNormCase([1, 1]),
  rmsNormCase([2, 3, 7]),
  rmsNormCase([6, 44], { dtype: "f16" }),
  rmsNormCase([5, 129], { dtype: "f16" }),
  rmsNormCase([3, 4096]),
  rmsNormCase([1, 11009]),
  rmsNormCase([1, 4096], { benchOnly: true }),
  rmsNormCase([640, 4096], { benchOnly: true }),
]);
