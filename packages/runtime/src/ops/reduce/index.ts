import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { reduceReference } from "./reference.ts";
import { rowsVariants } from "./rows.wgsl.ts";
import { type ReduceInputs, type ReduceKind, type ReduceParams, reducedShape } from "./spec.ts";
import { stridedVariant } from "./strided.wgsl.ts";

export const reduceOp: Op<ReduceInputs, ReduceParams> = {
  name: "reduce",
  infer: ({ x }, params) => [{ shape: reducedShape(x, params), dtype: "f32" }],
  variants: [...rowsVariants, stridedVariant],
  reference: reduceReference,
  cost: ({ x }, [y]) => ({ flops: sizeOf(x.shape), bytes: 4 * (sizeOf(x.shape) + sizeOf(y?.shape ?? [])) }),
};

function reducer(kind: ReduceKind) {
  /** Over `axes` (negative: from the end), f32. The axes go, or stay with size 1 under `keepDims`. */
  return (cmd: Recorder, x: Tensor, axes: readonly number[], options: { keepDims?: boolean } = {}): Tensor =>
    cmd.call1(reduceOp, { x }, { kind, axes, keepDims: options.keepDims ?? false });
}

/** Sum over axes. */
export const sum = reducer("sum");
/** Mean over axes. */
export const mean = reducer("mean");
/** Largest value over axes; NaN where there is one. */
export const max = reducer("max");
/** Smallest value over axes; NaN where there is one. */
export const min = reducer("min");
