import { ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

export interface PadInputs {
  /** Any dtype. */
  readonly x: TensorSpec;
}

export interface PadParams {
  /** [before, after] of each axis, none negative. */
  readonly padding: readonly (readonly [number, number])[];
  readonly value: number;
}

/** The padded shape; throws ShapeError unless there is one pair of counts an axis. */
export function paddedShape(x: TensorSpec, { padding }: PadParams): number[] {
  const counts = padding.flat();
  if (padding.length !== x.shape.length || counts.some((n) => !Number.isInteger(n) || n < 0))
    throw new ShapeError(`pad: ${JSON.stringify(padding)} does not fit ${formatSpec(x)}`);
  return x.shape.map((d, i) => d + (padding[i]?.[0] ?? 0) + (padding[i]?.[1] ?? 0));
}
