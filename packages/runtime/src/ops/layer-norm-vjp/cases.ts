import { type OpCase, suite } from "../../op-case.ts";
import type { DType } from "../../tensor.ts";
import { layerNormVjpOp } from "./index.ts";
import type { LayerNormVjpInputs } from "./spec.ts";

function vjpCase(
  rows: number,
  width: number,
  dtype: DType = "f32",
): OpCase<LayerNormVjpInputs, Record<string, never>> {
  return {
    name: `${rows}x${width} ${dtype}`,
    params: {},
    inputs: (r) => ({
      gradient: r.normals([rows, width], { dtype }),
      normalized: r.normals([1, width]),
      scale: r.normals([1], { mean: 1, scale: 0.1 }),
      weight: r.normals([width], { mean: 1, scale: 0.2 }),
    }),
    // means of `width` terms of size 1 (each thread at most some tens), and a difference of three values of size 1 to 3
    tolerance: { abs: 3e-6, rel: 3e-6 },
  };
}

export const layerNormVjpSuite = suite(layerNormVjpOp, [
  vjpCase(1, 1),
  vjpCase(5, 332),
  vjpCase(9, 45, "f16"),
]);
