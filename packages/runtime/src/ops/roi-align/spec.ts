import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";
import { checkPair, type Pair } from "../conv2d/spec.ts";
import { checkImage } from "../max-pool2d/spec.ts";

export interface RoiAlignInputs {
  /** [N, C, H, W]. f32. */
  readonly features: TensorSpec;
  /** [R, 5]: index in the batch, x0, y0, x1, y1 in pixels of the input image. f32. */
  readonly boxes: TensorSpec;
}

/** As torchvision.ops.roi_align. */
export interface RoiAlignParams {
  /** [rows, columns]. */
  readonly outputSize: Pair;
  /** Feature pixels an input pixel. */
  readonly spatialScale: number;
  /** Samples a bin along each axis; 0: as many as the bin has feature pixels, rounded up. */
  readonly samplingRatio: number;
  /** Pixel centres are at half-integers, and boxes may be smaller than a pixel. */
  readonly aligned: boolean;
}

export interface RoiAlignShape {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly boxes: number;
  readonly oh: number;
  readonly ow: number;
}

export function roiAlignShape({ features, boxes }: RoiAlignInputs, params: RoiAlignParams): RoiAlignShape {
  const [n, c, h, w] = checkImage("roiAlign", features);
  if (boxes.dtype !== "f32") throw new DTypeError(`roiAlign: boxes take f32, found ${formatSpec(boxes)}`);
  if (boxes.shape.length !== 2 || boxes.shape[1] !== 5 || boxes.shape[0] === 0)
    throw new ShapeError(`roiAlign: boxes take [R, 5] with at least one box, found ${formatSpec(boxes)}`);
  checkPair("roiAlign", "outputSize", params.outputSize, 1);
  const { spatialScale, samplingRatio } = params;
  if (!(spatialScale > 0) || !Number.isFinite(spatialScale))
    throw new ShapeError(`roiAlign: spatialScale is ${spatialScale}, expected a positive number`);
  if (!Number.isInteger(samplingRatio) || samplingRatio < 0)
    throw new ShapeError(`roiAlign: samplingRatio is ${samplingRatio}, expected 0 or a positive integer`);
  const [oh, ow] = params.outputSize;
  return { n, c, h, w, boxes: boxes.shape[0] as number, oh, ow };
}

/** Most samples a bin along an axis: an adaptive count follows a box's size, which is data and may be anything. */
export function mostSamples(size: number): number {
  return Math.max(16, size);
}
