import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

export interface PairwiseProductInputs {
  /** [N, F], f32. */
  readonly a: TensorSpec;
  /** [M, F], f32. */
  readonly b: TensorSpec;
}

export interface PairwiseProductShape {
  readonly m: number;
  readonly n: number;
  readonly f: number;
}

export function pairwiseProductShape({ a, b }: PairwiseProductInputs): PairwiseProductShape {
  if (a.dtype !== "f32" || b.dtype !== "f32")
    throw new DTypeError(`pairwiseProduct: takes f32, found ${formatSpec(a)} and ${formatSpec(b)}`);
  const [n, f] = a.shape as [number, number];
  const [m] = b.shape as [number];
  if (a.shape.length !== 2 || b.shape.length !== 2 || b.shape[1] !== f)
    throw new ShapeError(`pairwiseProduct: ${formatSpec(a)} and ${formatSpec(b)} are not rows of one width`);
  return { m, n, f };
}
