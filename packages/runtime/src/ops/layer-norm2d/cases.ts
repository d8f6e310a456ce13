import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import type { NormParams } from "../layer-norm/spec.ts";
import { layerNorm2dOp } from "./index.ts";
import type { LayerNorm2dInputs } from "./spec.ts";

function layerNorm2dCase(
  shape: Shape,
  {
    dtype = "f32",
    mean = 0.3,
    benchOnly = false,
  }: { dtype?: DType; mean?: number; benchOnly?: boolean } = {},
): OpCase<LayerNorm2dInputs, NormParams> {
  const c = shape[1] as number;
  return {
    name: `${JSON.stringify(shape)} ${dtype} mean ${mean}`,
    params: { eps: 1e-6 },
    inputs: (r) => ({
      x: r.normals(shape, { mean }),
      weight: r.normals([c], { mean: 1, scale: 0.2, dtype }),
      bias: r.normals([c], { dtype }),
    }),
    // as layer-norm: threads add C/8 values, and the mean is rounded at its own size; with few channels the scale may
    // be far above 1 and multiplies that
    tolerance: { abs: 3e-6 + 5e-7 * Math.abs(mean), rel: 4e-6 },
    benchOnly,
  };
}

export const layerNorm2dSuite = suite(layerNorm2dOp, [
  layerNorm2dCase([1, 7, 1, 1]),
  layerNorm2dCase([2, 9, 5, 7], { dtype: "f16" }),
  layerNorm2dCase([1, 64, 8, 8], { mean: 20 }),
  layerNorm2dCase([3, 65, 33]),
  layerNorm2dCase([1, 256, 64, 64], { benchOnly: true }),
]);
