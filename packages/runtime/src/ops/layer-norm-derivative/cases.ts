import { type OpCase, suite } from "../../op-case.ts";
import type { DType } from "../../tensor.ts";
import { layerNormDerivativeOp } from "./index.ts";
import type { LayerNormDerivativeInputs, LayerNormDerivativeParams } from "./spec.ts";

function derivativeCase(
  direction: "vjp" | "jvp",
  [groups, points, width]: readonly [number, number, number],
  options: { residual?: boolean; dtype?: DType } = {},
): OpCase<LayerNormDerivativeInputs, LayerNormDerivativeParams> {
  const { residual = false, dtype = "f32" } = options;
  return {
    name: `${direction} ${groups}x${points}x${width} ${dtype}${residual ? " + residual" : ""}`,
    params: { direction },
    inputs: (r) => ({
      v: r.normals([groups, points, width], { dtype }),
      normalized: r.normals([points, width]),
      scale: r.normals([points], { mean: 1, scale: 0.1 }),
      weight: r.normals([width], { mean: 1, scale: 0.2 }),
      residual: residual ? r.normals([groups, width]) : undefined,
    }),
    // means of `width` terms of size 1 (each thread at most some tens), and a difference of three values of size 1 to 3
    tolerance: { abs: 3e-6, rel: 3e-6 },
  };
}

export const layerNormDerivativeSuite = suite(layerNormDerivativeOp, [
  derivativeCase("vjp", [1, 1, 1]),
  derivativeCase("vjp", [3, 5, 17], { residual: true }),
  derivativeCase("jvp", [2, 7, 17]),
  derivativeCase("vjp", [3, 5, 64], { residual: true }),
  derivativeCase("jvp", [2, 4, 332]),
  derivativeCase("vjp", [9, 1, 44], { dtype: "f16" }),
  derivativeCase("vjp", [9, 1, 45], { dtype: "f16" }),
]);
