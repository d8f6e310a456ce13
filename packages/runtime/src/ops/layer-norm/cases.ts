import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { layerNormOp } from "./index.ts";
import type { LayerNormInputs, NormParams } from "./spec.ts";

interface Options {
  readonly dtype?: DType;
  readonly bias?: boolean;
  /** Of the inputs: far from 0 the variance must not be lost in E[x²] - E[x]². */
  readonly mean?: number;
  readonly benchOnly?: boolean;
}

function layerNormCase(shape: Shape, options: Options = {}): OpCase<LayerNormInputs, NormParams> {
  const { dtype = "f32", bias = true, mean = 0.3, benchOnly = false } = options;
  const d = shape.at(-1) as number;
  return {
    name: `${JSON.stringify(shape)} ${dtype}${bias ? "" : " no bias"} mean ${mean}`,
    params: { eps: 1e-5 },
    inputs: (r) => ({
      x: r.normals(shape, { mean, scale: 1.7 }),
      weight: r.normals([d], { mean: 1, scale: 0.2, dtype }),
      bias: bias ? r.normals([d], { dtype }) : undefined,
    }),
    // outputs of size 1 to 5 from sums over threads (at most 64 terms each) and a tree: 16 roundings of 6e-8; the mean
    // itself is rounded at its own size, which the subtraction carries over
    tolerance: { abs: 2e-6 + 2.5e-7 * Math.abs(mean), rel: 2e-6 },
    benchOnly,
  };
}

export const layerNormSuite = suite(layerNormOp, [
  layerNormCase([1, 1]),
  layerNormCase([3, 5]),
  layerNormCase([2, 3, 44]),
  layerNormCase([7, 63]),
  layerNormCase([5, 64], { bias: false }),
  layerNormCase([9, 257], { dtype: "f16" }),
  layerNormCase([4, 1024], { dtype: "f16", mean: 50 }),
  layerNormCase([3, 4099]),
  layerNormCase([2, 16384]),
  layerNormCase([70000, 1]),
  layerNormCase([577, 1024], { benchOnly: true }),
  layerNormCase([4096, 1280], { benchOnly: true }),
]);
