import { ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

export interface PermuteInputs {
  /** Any dtype. */
  readonly x: TensorSpec;
}

export interface PermuteParams {
  /** Output axis i is input axis `axes[i]`, as torch.permute. */
  readonly axes: readonly number[];
}

/** The permuted shape; throws ShapeError unless `axes` names every axis once. */
export function permutedShape(x: TensorSpec, axes: readonly number[]): number[] {
  const sorted = [...axes].sort((a, b) => a - b);
  if (sorted.length !== x.shape.length || sorted.some((a, i) => a !== i))
    throw new ShapeError(`permute: ${formatShape(axes)} does not order the axes of ${formatSpec(x)}`);
  return axes.map((a) => x.shape[a] as number);
}
