import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, sizeOf, type Tensor } from "../../tensor.ts";
import type { Standardized } from "../standardize/index.ts";
import { rowVariants } from "./rows.wgsl.ts";
import { type LayerNormVjpInputs, layerNormVjpShape } from "./spec.ts";

export const layerNormVjpOp: Op<LayerNormVjpInputs, Record<string, never>> = {
  name: "layer-norm-vjp",
  infer(inputs) {
    layerNormVjpShape(inputs);
    return [{ shape: inputs.gradient.shape, dtype: "f32" }];
  },
  variants: rowVariants,
  reference(inputs) {
    const { rows, width } = layerNormVjpShape(inputs);
    const { gradient, normalized, scale, weight } = inputs;
    const out = new Float64Array(rows * width);
    for (let row = 0; row < rows; row++) {
      const v = gradient.data
        .subarray(row * width, (row + 1) * width)
        .map((g, i) => g * (weight.data[i] as number));
      const mean = v.reduce((a, b) => a + b) / width;
      const along = v.reduce((a, b, i) => a + b * (normalized.data[i] as number), 0) / width;
      const centred = v.map(
        (a, i) => (scale.data[0] as number) * (a - mean - along * (normalized.data[i] as number)),
      );
      out.set(centred, row * width);
    }
    return [hostResult(gradient.shape, out)];
  },
  cost({ gradient }) {
    const n = sizeOf(gradient.shape);
    return { flops: 9 * n, bytes: n * (bytesPerElement(gradient.dtype) + 4) };
  },
};

/**
 * Layer norm's gradient at one point: scale · (w g - mean(w g) - x^ mean(w g x^)) for each row g.
 * gradient [R, D] (f32 or f16), the point standardised from [1, D], weight (the gain) [D] -> [R, D].
 */
export function layerNormVjp(cmd: Recorder, gradient: Tensor, point: Standardized, weight: Tensor): Tensor {
  return cmd.call1(layerNormVjpOp, { gradient, ...point, weight }, {});
}
