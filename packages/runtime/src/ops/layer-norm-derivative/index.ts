import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, sizeOf, type Tensor } from "../../tensor.ts";
import type { Standardized } from "../standardize/index.ts";
import { layerNormDerivativeReference } from "./reference.ts";
import { rowVariants } from "./rows.wgsl.ts";
import {
  type LayerNormDerivativeInputs,
  type LayerNormDerivativeParams,
  layerNormDerivativeShape,
} from "./spec.ts";

export const layerNormDerivativeOp: Op<LayerNormDerivativeInputs, LayerNormDerivativeParams> = {
  name: "layer-norm-derivative",
  infer(inputs) {
    layerNormDerivativeShape(inputs);
    return [{ shape: inputs.v.shape, dtype: "f32" }];
  },
  variants: rowVariants,
  reference: layerNormDerivativeReference,
  cost({ v }) {
    const n = sizeOf(v.shape);
    return { flops: 9 * n, bytes: n * (bytesPerElement(v.dtype) + 4) };
  },
};

/** Where a layer norm is differentiated, and its gain [D]. */
export interface LayerNormPoint extends Standardized {
  readonly weight: Tensor;
}

/**
 * Layer norm's gradient: scale · (w v - mean(w v) - x^ mean(w v x^)) + residual.
 * v [G·R, D] (f32 or f16) at R points, residual [G, D] -> [G·R, D].
 */
export function layerNormVjp(cmd: Recorder, v: Tensor, point: LayerNormPoint, residual?: Tensor): Tensor {
  return cmd.call1(layerNormDerivativeOp, { v, ...point, residual }, { direction: "vjp" });
}

/** Layer norm's directional derivative: w scale · (v - mean(v) - x^ mean(v x^)). v [G·R, D] at R points -> [G·R, D]. */
export function layerNormJvp(cmd: Recorder, v: Tensor, point: LayerNormPoint): Tensor {
  return cmd.call1(layerNormDerivativeOp, { v, ...point, residual: undefined }, { direction: "jvp" });
}
