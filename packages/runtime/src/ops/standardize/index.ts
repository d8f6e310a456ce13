import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { statistics } from "../layer-norm/reference.ts";
import { rowVariants } from "./rows.wgsl.ts";
import { type StandardizeInputs, type StandardizeParams, standardizeShape } from "./spec.ts";

export const standardizeOp: Op<StandardizeInputs, StandardizeParams> = {
  name: "standardize",
  infer({ x }, params) {
    standardizeShape({ x }, params);
    return [
      { shape: x.shape, dtype: "f32" },
      { shape: x.shape.slice(0, -1), dtype: "f32" },
    ];
  },
  variants: rowVariants,
  reference({ x }, params) {
    const { rows, width } = standardizeShape({ x }, params);
    const normalized = new Float64Array(x.data.length);
    const scales = new Float64Array(rows);
    for (let row = 0; row < rows; row++) {
      const { mean, scale } = statistics(x.data, width, (i) => row * width + i, params.eps, true);
      scales[row] = scale;
      for (let i = row * width; i < (row + 1) * width; i++)
        normalized[i] = ((x.data[i] as number) - mean) * scale;
    }
    return [hostResult(x.shape, normalized), hostResult(x.shape.slice(0, -1), scales)];
  },
  cost: ({ x }) => ({ flops: 7 * sizeOf(x.shape), bytes: 8 * sizeOf(x.shape) }),
};

/** What layer norm's derivative is taken at. */
export interface Standardized {
  /** (x - mean) · scale over the last axis. [.., D] */
  readonly normalized: Tensor;
  /** 1 / sqrt(variance + eps). [..] */
  readonly scale: Tensor;
}

/** Layer norm without its gain and bias, and its scale: what `layerNormVjp` and `layerNormJvp` need. x [.., D]. */
export function standardize(cmd: Recorder, x: Tensor, eps: number): Standardized {
  const [normalized, scale] = cmd.call(standardizeOp, { x }, { eps }) as [Tensor, Tensor];
  return { normalized, scale };
}
