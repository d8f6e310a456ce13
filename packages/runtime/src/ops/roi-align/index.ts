import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { type Pair, pairOf } from "../conv2d/spec.ts";
import { gatherVariant } from "./gather.wgsl.ts";
import { roiAlignReference } from "./reference.ts";
import { type RoiAlignInputs, type RoiAlignParams, roiAlignShape } from "./spec.ts";

export const roiAlignOp: Op<RoiAlignInputs, RoiAlignParams> = {
  name: "roiAlign",
  infer(inputs, params) {
    const { c, boxes, oh, ow } = roiAlignShape(inputs, params);
    return [{ shape: [boxes, c, oh, ow], dtype: "f32" }];
  },
  variants: [gatherVariant],
  reference: roiAlignReference,
  cost({ features, boxes }, [y], { samplingRatio }) {
    const n = sizeOf(y?.shape ?? []);
    // an adaptive count depends on the boxes: 2 x 2 is typical
    return {
      flops: 8 * n * (samplingRatio || 2) ** 2,
      bytes: 4 * (n + sizeOf(features.shape) + sizeOf(boxes.shape)),
    };
  },
};

export interface RoiAlignOptions {
  /** A number stands for both directions; a pair is [rows, columns]. */
  readonly outputSize: number | Pair;
  /** Feature pixels an input pixel; default 1. */
  readonly spatialScale?: number;
  /** Samples a bin along each axis; default 0: as many as a bin has feature pixels, rounded up. */
  readonly samplingRatio?: number;
  /** Shift by half a pixel, as is right; default false, as in torchvision. */
  readonly aligned?: boolean;
}

/**
 * As torchvision.ops.roi_align (He et al. 2017). features [N, C, H, W], boxes [R, 5] (index in the batch, x0, y0, x1, y1
 * in input pixels) -> [R, C, oh, ow]. Boxes are data: one whose index is outside the batch gives zeros, and an adaptive
 * count is at most max(16, H) by max(16, W) samples a bin, which only boxes far larger than the image reach.
 */
export function roiAlign(cmd: Recorder, features: Tensor, boxes: Tensor, options: RoiAlignOptions): Tensor {
  const { spatialScale = 1, samplingRatio = 0, aligned = false } = options;
  return cmd.call1(
    roiAlignOp,
    { features, boxes },
    { outputSize: pairOf(options.outputSize), spatialScale, samplingRatio, aligned },
  );
}
