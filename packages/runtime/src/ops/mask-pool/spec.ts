import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface MaskPoolInputs {
  /** [T, D]: one token a patch, row by row. f32. */
  readonly features: TensorSpec;
  /** [M, H, W] with H·W = T, or [M, T]: weights, not negative. f32. */
  readonly masks: TensorSpec;
}

export interface MaskPoolShape {
  readonly tokens: number;
  readonly d: number;
  readonly masks: number;
}

export function maskPoolShape({ features, masks }: MaskPoolInputs): MaskPoolShape {
  if (features.dtype !== "f32" || masks.dtype !== "f32")
    throw new DTypeError(`maskPool: takes f32, found ${formatSpec(features)} and ${formatSpec(masks)}`);
  const [tokens, d] = features.shape as [number, number];
  const fits = masks.shape.length === 2 || masks.shape.length === 3;
  if (features.shape.length !== 2 || !fits || sizeOf(masks.shape.slice(1)) !== tokens)
    throw new ShapeError(
      `maskPool: takes [T, D] and [M, H, W] of as many weights as tokens, found ${formatSpec(features)} and ${formatSpec(masks)}`,
    );
  if (sizeOf(features.shape) < 1 || sizeOf(masks.shape) < 1)
    throw new ShapeError(`maskPool: ${formatSpec(features)} or ${formatSpec(masks)} is empty`);
  return { tokens, d, masks: masks.shape[0] as number };
}
