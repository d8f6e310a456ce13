import { DTypeError, ShapeError } from "../../errors.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { flatVariant } from "./flat.wgsl.ts";
import { unaryReference } from "./reference.ts";
import type { UnaryInputs, UnaryKind, UnaryParams } from "./spec.ts";

export const unaryOp: Op<UnaryInputs, UnaryParams> = {
  name: "unary",
  infer({ x }, { kind, a, b }) {
    if (x.dtype !== "f32") throw new DTypeError(`${kind}: x is ${formatSpec(x)}; takes f32`);
    if (Number.isNaN(a) || Number.isNaN(b)) throw new ShapeError(`${kind}: parameters ${a} and ${b}`);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  variants: [flatVariant],
  reference: unaryReference,
  cost({ x }) {
    const n = sizeOf(x.shape);
    return { flops: n, bytes: 8 * n };
  },
};

function unary(kind: UnaryKind) {
  /** Elementwise on f32, any shape. */
  return (cmd: Recorder, x: Tensor): Tensor => cmd.call1(unaryOp, { x }, { kind, a: 0, b: 0 });
}

/** max(x, 0). */
export const relu = unary("relu");
/** x · Phi(x), exact (erf). */
export const gelu = unary("gelu");
/** gelu by its tanh approximation. */
export const geluTanh = unary("gelu_tanh");
/** x · sigmoid(1.702 x). */
export const quickGelu = unary("quick_gelu");
/** x · sigmoid(x). */
export const silu = unary("silu");
/** 1 / (1 + exp(-x)). */
export const sigmoid = unary("sigmoid");
export const tanh = unary("tanh");
export const exp = unary("exp");
/** Natural logarithm. */
export const log = unary("log");
export const neg = unary("neg");
export const sqrt = unary("sqrt");
/** 1 / sqrt(x). */
export const rsqrt = unary("rsqrt");
/** 1 / x. */
export const reciprocal = unary("reciprocal");
export const abs = unary("abs");
export const square = unary("square");
/** Of radians, to 1e-6 up to some 1000 of them. */
export const sin = unary("sin");
/** Of radians, to 1e-6 up to some 1000 of them. */
export const cos = unary("cos");

/** min(max(x, low), high). Infinite bounds are those of one-sided clamps. */
export function clamp(cmd: Recorder, x: Tensor, low: number, high: number): Tensor {
  return cmd.call1(unaryOp, { x }, { kind: "clamp", a: low, b: high });
}

/** factor · x + offset. */
export function affine(cmd: Recorder, x: Tensor, factor: number, offset = 0): Tensor {
  return cmd.call1(unaryOp, { x }, { kind: "affine", a: factor, b: offset });
}

/** 1 where x > threshold, else 0. */
export function greaterThan(cmd: Recorder, x: Tensor, threshold: number): Tensor {
  return cmd.call1(unaryOp, { x }, { kind: "greater", a: threshold, b: 0 });
}
