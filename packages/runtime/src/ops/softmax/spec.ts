import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface SoftmaxInputs {
  /** [.., width], f32. */
  readonly x: TensorSpec;
}

/** Elements at most this, -Infinity among them, have probability 0. */
export const maskedBelow = -1e30;

export function softmaxShape({ x }: SoftmaxInputs): { rows: number; width: number } {
  if (x.dtype !== "f32") throw new DTypeError(`softmax: x ${formatSpec(x)}: takes f32`);
  const width = x.shape.at(-1);
  if (!width || sizeOf(x.shape) === 0)
    throw new ShapeError(`softmax: x ${formatSpec(x)} has nothing along its last axis`);
  return { rows: sizeOf(x.shape) / width, width };
}
