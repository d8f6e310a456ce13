import { ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";
import { checkPair, type Pair } from "../conv2d/spec.ts";
import { checkImage, type PlanesShape } from "../max-pool2d/spec.ts";

export type ResizeMode = "nearest" | "bilinear" | "bicubic";

export interface Resize2dInputs {
  /** [N, C, H, W]. f32. */
  readonly x: TensorSpec;
}

/** As torch.nn.functional.interpolate with `size`. */
export interface Resize2dParams {
  /** [rows, columns]. */
  readonly size: Pair;
  readonly mode: ResizeMode;
  /** Widen the filter when shrinking, so that every input pixel counts. Not for `nearest`. */
  readonly antialias: boolean;
  /** Corner pixels map to corner pixels; else the edges of the images coincide. Not for `nearest`. */
  readonly alignCorners: boolean;
}

export function resize2dShape({ x }: Resize2dInputs, params: Resize2dParams): PlanesShape {
  const { size, mode, antialias, alignCorners } = params;
  const [n, c, h, w] = checkImage("resize2d", x);
  checkPair("resize2d", "size", size, 1);
  if (mode === "nearest" && (antialias || alignCorners))
    throw new ShapeError("resize2d: nearest takes neither antialias nor alignCorners");
  const [oh, ow] = size;
  // source positions are computed exactly, in u32: 2·in·out and a little
  if ((2 * oh + 2) * (h + 1) >= 2 ** 32 || (2 * ow + 2) * (w + 1) >= 2 ** 32)
    throw new ShapeError(`resize2d: ${formatSpec(x)} to ${oh} x ${ow} is too large`);
  return { planes: n * c, h, w, oh, ow };
}

/** Output i samples input position (multiplier·i + offset) / divisor - 1, an exact fraction that is never negative before
 * the 1 is taken off. */
export interface Sampling {
  readonly multiplier: number;
  readonly offset: number;
  readonly divisor: number;
}

export function sampling(from: number, to: number, alignCorners: boolean): Sampling {
  // half-pixel centres: (i + 1/2)·from/to - 1/2
  if (!alignCorners) return { multiplier: 2 * from, offset: from + to, divisor: 2 * to };
  if (to === 1) return { multiplier: 0, offset: 1, divisor: 1 };
  return { multiplier: from - 1, offset: to - 1, divisor: to - 1 };
}

/** Output i is centred at (2i + 1)·numerator / denominator; `scale` input pixels are one output pixel, at least 1. */
export interface Footprint {
  readonly numerator: number;
  readonly denominator: number;
  readonly scale: number;
}

export function footprint(from: number, to: number, alignCorners: boolean): Footprint {
  if (!alignCorners) return { numerator: from, denominator: 2 * to, scale: Math.max(1, from / to) };
  if (to === 1) return { numerator: 0, denominator: 1, scale: 1 };
  return { numerator: from - 1, denominator: 2 * (to - 1), scale: Math.max(1, (from - 1) / (to - 1)) };
}

/** Half the filter's width at scale 1. */
export function filterRadius(mode: ResizeMode): number {
  return mode === "bicubic" ? 2 : 1;
}

/** Keys' a: torch takes OpenCV's -0.75, and Pillow's -0.5 with antialiasing. */
export function cubicCoefficient(antialias: boolean): number {
  return antialias ? -0.5 : -0.75;
}
