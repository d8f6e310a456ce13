import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

/** Rows of the gradient whose signs share a word. */
export const signRows = 32;

export interface LegradMapInputs {
  /** ds/do of each mask: the gradient before the attention's output projection. [M, N, H·d], f32. */
  readonly gradient: TensorSpec;
  /** V of all heads. [N, H·d], f32. */
  readonly values: TensorSpec;
}

export interface LegradMapParams {
  readonly heads: number;
}

export interface LegradMapShape {
  readonly masks: number;
  readonly tokens: number;
  readonly heads: number;
  /** d. */
  readonly size: number;
  /** Words of signs a column: ceil(N / 32). */
  readonly blocks: number;
}

export function legradMapShape(
  { gradient, values }: LegradMapInputs,
  { heads }: LegradMapParams,
): LegradMapShape {
  if (gradient.dtype !== "f32" || values.dtype !== "f32")
    throw new DTypeError(`legradMap: takes f32, found ${formatSpec(gradient)} and ${formatSpec(values)}`);
  const [masks, tokens, width] = gradient.shape as [number, number, number];
  const shared = values.shape.length === 2 && values.shape[0] === tokens && values.shape[1] === width;
  if (gradient.shape.length !== 3 || !shared)
    throw new ShapeError(
      `legradMap: ${formatSpec(gradient)} and ${formatSpec(values)} are not [M, N, D] and [N, D]`,
    );
  if (!Number.isInteger(heads) || heads < 1 || width % heads !== 0)
    throw new ShapeError(`legradMap: ${heads} heads do not divide the width of ${formatSpec(values)}`);
  return { masks, tokens, heads, size: width / heads, blocks: Math.ceil(tokens / signRows) };
}

/** Shape of the sign words: bit n mod 32 of [m, h, n div 32, j] is 1 where ds/dA_h[n, j] is positive. */
export function signsShape({ masks, heads, blocks, tokens }: LegradMapShape): number[] {
  return [masks, heads, blocks, tokens];
}
