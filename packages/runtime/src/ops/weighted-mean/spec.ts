import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

export interface WeightedMeanInputs {
  /** [M, N, F], f32. */
  readonly x: TensorSpec;
  /** [N, F], f32: a weight an element, the same for all M. Absent: 1. */
  readonly weight?: TensorSpec | undefined;
}

export interface WeightedMeanShape {
  readonly m: number;
  readonly n: number;
  readonly f: number;
}

export function weightedMeanShape({ x, weight }: WeightedMeanInputs): WeightedMeanShape {
  if (x.dtype !== "f32" || (weight && weight.dtype !== "f32"))
    throw new DTypeError(
      `weightedMean: takes f32, found ${formatSpec(x)}${weight ? ` and ${formatSpec(weight)}` : ""}`,
    );
  const [m, n, f] = x.shape as [number, number, number];
  if (x.shape.length !== 3 || n < 1) throw new ShapeError(`weightedMean: ${formatSpec(x)} is not [M, N, F]`);
  if (weight && (weight.shape.length !== 2 || weight.shape[0] !== n || weight.shape[1] !== f))
    throw new ShapeError(`weightedMean: weight ${formatSpec(weight)} is not [${n}, ${f}]`);
  return { m, n, f };
}
