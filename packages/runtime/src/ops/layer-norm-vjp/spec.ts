import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface LayerNormVjpInputs {
  /** Gradients behind the norm, all at the same point. [R, D], f32 or f16. */
  readonly gradient: TensorSpec;
  /** (x - mean) · scale of the point. [1, D], f32. */
  readonly normalized: TensorSpec;
  /** 1 / sqrt(variance + eps) of the point. [1], f32. */
  readonly scale: TensorSpec;
  /** Layer norm's gain. [D], f32. */
  readonly weight: TensorSpec;
}

export function layerNormVjpShape(inputs: LayerNormVjpInputs): { rows: number; width: number } {
  const { gradient, normalized, scale, weight } = inputs;
  const floats = [normalized, scale, weight].every((t) => t.dtype === "f32");
  if (!floats || (gradient.dtype !== "f32" && gradient.dtype !== "f16"))
    throw new DTypeError(
      `layerNormVjp: ${formatSpec(gradient)} at ${formatSpec(normalized)}: takes f32, gradients also f16`,
    );
  const width = weight.shape[0] ?? 0;
  const fits =
    weight.shape.length === 1 &&
    width > 0 &&
    formatShape(normalized.shape) === formatShape([1, width]) &&
    sizeOf(scale.shape) === 1 &&
    gradient.shape.at(-1) === width;
  if (!fits)
    throw new ShapeError(
      `layerNormVjp: ${formatSpec(gradient)} at ${formatSpec(normalized)}, scale ${formatSpec(scale)}, weight ${formatSpec(weight)}`,
    );
  return { rows: sizeOf(gradient.shape) / width, width };
}
