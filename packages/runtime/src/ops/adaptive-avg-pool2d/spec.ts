import { ShapeError } from "../../errors.ts";
import type { TensorSpec } from "../../tensor.ts";
import { checkPair, type Pair } from "../conv2d/spec.ts";
import { checkImage, type PlanesShape } from "../max-pool2d/spec.ts";

export interface AdaptiveAvgPool2dInputs {
  /** [N, C, H, W]. f32. */
  readonly x: TensorSpec;
}

export interface AdaptiveAvgPool2dParams {
  /** [rows, columns]. */
  readonly outputSize: Pair;
}

export function adaptiveAvgPool2dShape(
  { x }: AdaptiveAvgPool2dInputs,
  { outputSize }: AdaptiveAvgPool2dParams,
): PlanesShape {
  const [n, c, h, w] = checkImage("adaptiveAvgPool2d", x);
  checkPair("adaptiveAvgPool2d", "outputSize", outputSize, 1);
  const [oh, ow] = outputSize;
  // the kernel computes (i + 1)·H in u32
  if ((oh + 1) * h >= 2 ** 32 || (ow + 1) * w >= 2 ** 32)
    throw new ShapeError(`adaptiveAvgPool2d: ${h} x ${w} to ${oh} x ${ow} is too large`);
  return { planes: n * c, h, w, oh, ow };
}
