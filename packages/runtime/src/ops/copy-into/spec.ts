import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface CopyIntoInputs {
  /** f32, any shape; its elements are repeated as often as they fit into `target`. */
  readonly source: TensorSpec;
  /** f32, overwritten. */
  readonly target: TensorSpec;
}

export function checkCopyInto({ source, target }: CopyIntoInputs): void {
  if (source.dtype !== "f32" || target.dtype !== "f32")
    throw new DTypeError(`copyInto: takes f32, found ${formatSpec(source)} and ${formatSpec(target)}`);
  const size = sizeOf(source.shape);
  if (size < 1 || sizeOf(target.shape) % size !== 0)
    throw new ShapeError(
      `copyInto: ${formatSpec(target)} does not hold whole copies of ${formatSpec(source)}`,
    );
}
