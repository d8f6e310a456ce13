import { DTypeError } from "../../errors.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor, type TensorSpec } from "../../tensor.ts";
import { binaryReference } from "./reference.ts";
import { broadcastShapes } from "./spec.ts";
import { flatVariant, stridedVariant } from "./variants.wgsl.ts";

export type BinaryKind = "add" | "sub" | "mul" | "div" | "max" | "min";
export interface BinaryInputs {
  readonly a: TensorSpec;
  readonly b: TensorSpec;
}
export interface BinaryParams {
  readonly kind: BinaryKind;
}

export const binaryOp: Op<BinaryInputs, BinaryParams> = {
  name: "binary",
  infer({ a, b }, { kind }) {
    if (a.dtype !== "f32" || b.dtype !== "f32")
      throw new DTypeError(`${kind}: takes f32, found ${a.dtype} and ${b.dtype}`);
    return [{ shape: broadcastShapes(a.shape, b.shape), dtype: "f32" }];
  },
  variants: [flatVariant, stridedVariant],
  reference: binaryReference,
  cost({ a, b }, [y]) {
    const n = sizeOf(y?.shape ?? []);
    return { flops: n, bytes: 4 * (sizeOf(a.shape) + sizeOf(b.shape) + n) };
  },
};

function binary(kind: BinaryKind) {
  /** Elementwise on f32 with NumPy broadcasting. */
  return (cmd: Recorder, a: Tensor, b: Tensor): Tensor => cmd.call1(binaryOp, { a, b }, { kind });
}

/** a + b, broadcast. */
export const add = binary("add");
/** a - b, broadcast. */
export const sub = binary("sub");
/** a * b, broadcast. */
export const mul = binary("mul");
/** a / b, broadcast. */
export const div = binary("div");
/** max(a, b), broadcast. */
export const maximum = binary("max");
/** min(a, b), broadcast. */
export const minimum = binary("min");
