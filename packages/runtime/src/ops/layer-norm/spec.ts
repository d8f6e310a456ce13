import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface LayerNormInputs {
  /** [.., D], f32. */
  readonly x: TensorSpec;
  /** [D], f32 or f16. */
  readonly weight: TensorSpec;
  /** [D], f32 or f16. */
  readonly bias?: TensorSpec | undefined;
}

export interface NormParams {
  /** Added to the variance (or mean square). */
  readonly eps: number;
}

/** Checks dtypes, that `weight` and `bias` are [channels], and that eps is a number of at least 0. */
export function checkNorm(
  op: string,
  x: TensorSpec,
  channels: number | undefined,
  affine: Readonly<Record<string, TensorSpec | undefined>>,
  eps: number,
): void {
  if (x.dtype !== "f32") throw new DTypeError(`${op}: x is ${formatSpec(x)}; takes f32`);
  if (channels === undefined || channels < 1)
    throw new ShapeError(`${op}: nothing to normalise in ${formatSpec(x)}`);
  for (const [name, t] of Object.entries(affine)) {
    if (!t) continue;
    if (t.dtype !== "f32" && t.dtype !== "f16")
      throw new DTypeError(`${op}: ${name} is ${formatSpec(t)}; takes f32 or f16`);
    if (formatShape(t.shape) !== formatShape([channels]))
      throw new ShapeError(
        `${op}: ${name} ${formatSpec(t)} is not [${channels}], as x ${formatSpec(x)} needs`,
      );
  }
  if (!(eps >= 0)) throw new ShapeError(`${op}: eps is ${eps}`);
}

/** x seen as rows of its last axis. */
export function lastAxisRows(x: TensorSpec): { rows: number; width: number } {
  const width = x.shape.at(-1) ?? 1;
  return { rows: sizeOf(x.shape) / Math.max(width, 1), width };
}

/** Bytes that a normalisation moves at least: x and y once each, f32. */
export function normCost(x: TensorSpec, flopsPerElement: number) {
  const n = sizeOf(x.shape);
  return { flops: flopsPerElement * n, bytes: 8 * n };
}
