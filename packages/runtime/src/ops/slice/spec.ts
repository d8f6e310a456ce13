import { ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

export interface SliceInputs {
  /** Any dtype. */
  readonly x: TensorSpec;
}

export interface SliceParams {
  /** First index along each axis. */
  readonly starts: readonly number[];
  /** The index after the last along each axis. */
  readonly ends: readonly number[];
}

/** ends - starts; throws ShapeError unless 0 <= start <= end <= size on every axis. */
export function slicedShape(x: TensorSpec, { starts, ends }: SliceParams): number[] {
  const fits =
    starts.length === x.shape.length &&
    ends.length === x.shape.length &&
    x.shape.every((size, i) => {
      const [start, end] = [starts[i] as number, ends[i] as number];
      return Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end && end <= size;
    });
  if (!fits)
    throw new ShapeError(
      `slice: ${formatShape(starts)} to ${formatShape(ends)} is not within ${formatSpec(x)}`,
    );
  return x.shape.map((_, i) => (ends[i] as number) - (starts[i] as number));
}
