import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

export type ReduceKind = "sum" | "mean" | "max" | "min";

export interface ReduceInputs {
  /** Any shape, f32. */
  readonly x: TensorSpec;
}

export interface ReduceParams {
  readonly kind: ReduceKind;
  /** Axes that go, in any order; negative ones count from the end. */
  readonly axes: readonly number[];
  /** Whether they stay with size 1. */
  readonly keepDims: boolean;
}

/** A run of axes that are all kept or all reduced; element stride of its innermost. */
export interface Run {
  readonly reduced: boolean;
  readonly size: number;
  readonly stride: number;
}

function reducedAxes(x: TensorSpec, { axes, kind }: ReduceParams): Set<number> {
  const rank = x.shape.length;
  const set = new Set(axes.map((a) => (a < 0 ? a + rank : a)));
  const known = [...set].every((a) => Number.isInteger(a) && a >= 0 && a < rank);
  if (!known || set.size !== axes.length)
    throw new ShapeError(`${kind}: ${formatShape(axes)} are not different axes of ${formatSpec(x)}`);
  return set;
}

/** The shape without (or with size-1) reduced axes; throws ShapeError or DTypeError. */
export function reducedShape(x: TensorSpec, params: ReduceParams): number[] {
  const { kind, keepDims } = params;
  if (x.dtype !== "f32") throw new DTypeError(`${kind}: x is ${formatSpec(x)}; takes f32`);
  const set = reducedAxes(x, params);
  if ([...set].some((a) => x.shape[a] === 0))
    throw new ShapeError(`${kind}: ${formatSpec(x)} has nothing to reduce along ${formatShape(params.axes)}`);
  return x.shape.flatMap((d, i) => (set.has(i) ? (keepDims ? [1] : []) : [d]));
}

/** Axes merged into runs, outermost first; axes of size 1 are left out. */
export function reduceRuns(x: TensorSpec, params: ReduceParams): Run[] {
  const set = reducedAxes(x, params);
  const runs: Run[] = [];
  let stride = 1;
  for (let i = x.shape.length - 1; i >= 0; i--) {
    const size = x.shape[i] as number;
    if (size === 1) continue;
    const [first] = runs;
    if (first?.reduced === set.has(i)) runs[0] = { ...first, size: first.size * size };
    else runs.unshift({ reduced: set.has(i), size, stride });
    stride *= size;
  }
  return runs;
}

/** [rows, width] where all reduced axes are innermost, else undefined. */
export function asRows(x: TensorSpec, params: ReduceParams): { rows: number; width: number } | undefined {
  const runs = reduceRuns(x, params);
  const last = runs.at(-1);
  if (runs.length > 2 || (runs.length === 2 && !last?.reduced)) return undefined;
  const width = last?.reduced ? last.size : 1;
  const rows = runs.find((r) => !r.reduced)?.size ?? 1;
  return { rows, width };
}
