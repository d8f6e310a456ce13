import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

/** G groups of R rows share R points at which the derivative is taken: masks of an image share its tokens. */
export interface LayerNormDerivativeInputs {
  /** Vectors to map, [G·R, D] (leading axes free). f32 or f16. */
  readonly v: TensorSpec;
  /** (x - mean) · scale of each point. [R, D], f32. */
  readonly normalized: TensorSpec;
  /** 1 / sqrt(variance + eps) of each point. [R], f32. */
  readonly scale: TensorSpec;
  /** Layer norm's gain. [D], f32. */
  readonly weight: TensorSpec;
  /** Added to every row of a group. [G, D], f32. */
  readonly residual?: TensorSpec | undefined;
}

export interface LayerNormDerivativeParams {
  /** vjp: from a gradient behind the norm to the one before it; jvp: from a change before it to the one behind it. */
  readonly direction: "vjp" | "jvp";
}

export interface LayerNormDerivativeShape {
  readonly rows: number;
  readonly width: number;
  /** R. */
  readonly points: number;
}

export function layerNormDerivativeShape(inputs: LayerNormDerivativeInputs): LayerNormDerivativeShape {
  const { v, normalized, scale, weight, residual } = inputs;
  const floats = [normalized, scale, weight, residual].every((t) => !t || t.dtype === "f32");
  if (!floats || (v.dtype !== "f32" && v.dtype !== "f16"))
    throw new DTypeError(
      `layerNormDerivative: ${formatSpec(v)} at ${formatSpec(normalized)}: takes f32, v also f16`,
    );
  const width = weight.shape[0] ?? 0;
  const points = sizeOf(scale.shape);
  const rows = sizeOf(v.shape) / Math.max(width, 1);
  const expect = (spec: TensorSpec, what: string, size: number, last = width) => {
    if (spec.shape.at(-1) !== last || sizeOf(spec.shape) !== size)
      throw new ShapeError(
        `layerNormDerivative: ${what} ${formatSpec(spec)} is not ${formatShape([size / last, last])}`,
      );
  };
  if (width < 1 || points < 1 || weight.shape.length !== 1)
    throw new ShapeError(`layerNormDerivative: weight ${formatSpec(weight)}, scale ${formatSpec(scale)}`);
  expect(normalized, "normalized", points * width);
  if (v.shape.at(-1) !== width || rows % points !== 0)
    throw new ShapeError(`layerNormDerivative: v ${formatSpec(v)} is not groups of [${points}, ${width}]`);
  if (residual) expect(residual, "residual", (rows / points) * width);
  return { rows, width, points };
}
