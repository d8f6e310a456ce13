import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

/** The tensors in order, under any names. Equal dtypes; equal shapes but for the joined axis. */
export type ConcatInputs = { readonly [name: string]: TensorSpec };

export interface ConcatParams {
  /** Negative counts from the end. */
  readonly axis: number;
}

/** The joined spec and the axis from 0; throws ShapeError or DTypeError. */
export function concatSpec(
  parts: readonly TensorSpec[],
  { axis }: ConcatParams,
): { axis: number; spec: TensorSpec } {
  const [first] = parts;
  if (!first) throw new ShapeError("concat: no tensors");
  const at = axis < 0 ? axis + first.shape.length : axis;
  if (!Number.isInteger(at) || at < 0 || at >= first.shape.length)
    throw new ShapeError(`concat: ${formatSpec(first)} has no axis ${axis}`);
  for (const part of parts) {
    if (part.dtype !== first.dtype)
      throw new DTypeError(`concat: ${formatSpec(part)} does not go with ${formatSpec(first)}`);
    const same =
      part.shape.length === first.shape.length &&
      part.shape.every((d, i) => i === at || d === first.shape[i]);
    if (!same)
      throw new ShapeError(
        `concat along axis ${at}: ${formatSpec(part)} does not go with ${formatSpec(first)}`,
      );
  }
  const total = parts.reduce((sum, p) => sum + (p.shape[at] as number), 0);
  return {
    axis: at,
    spec: { shape: first.shape.map((d, i) => (i === at ? total : d)), dtype: first.dtype },
  };
}
