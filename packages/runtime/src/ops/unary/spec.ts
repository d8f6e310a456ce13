import type { TensorSpec } from "../../tensor.ts";

/** Elementwise functions of one f32 tensor; `a` and `b` are the parameters of those that have any. */
export type UnaryKind =
  | "relu"
  | "gelu"
  | "gelu_tanh"
  | "quick_gelu"
  | "silu"
  | "sigmoid"
  | "tanh"
  | "exp"
  | "log"
  | "neg"
  | "sqrt"
  | "rsqrt"
  | "reciprocal"
  | "abs"
  | "square"
  | "sin"
  | "cos"
  /** min(max(x, a), b). */
  | "clamp"
  /** a·x + b. */
  | "affine"
  /** 1 where x > a, else 0. */
  | "greater";

export interface UnaryInputs {
  /** Any shape, f32. */
  readonly x: TensorSpec;
}

export interface UnaryParams {
  readonly kind: UnaryKind;
  readonly a: number;
  readonly b: number;
}
