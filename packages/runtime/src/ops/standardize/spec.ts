import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface StandardizeInputs {
  /** [.., D], f32. */
  readonly x: TensorSpec;
}

export interface StandardizeParams {
  /** Added to the variance. */
  readonly eps: number;
}

export function standardizeShape(
  { x }: StandardizeInputs,
  { eps }: StandardizeParams,
): { rows: number; width: number } {
  if (x.dtype !== "f32") throw new DTypeError(`standardize: x is ${formatSpec(x)}; takes f32`);
  const width = x.shape.at(-1);
  if (!width) throw new ShapeError(`standardize: nothing to standardise in ${formatSpec(x)}`);
  if (!(eps >= 0)) throw new ShapeError(`standardize: eps is ${eps}`);
  return { rows: sizeOf(x.shape) / width, width };
}
