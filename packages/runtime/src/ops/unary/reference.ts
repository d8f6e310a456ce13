import { activationReference } from "../../activation.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { UnaryKind, UnaryParams } from "./spec.ts";

const functions: Record<UnaryKind, (x: number, a: number, b: number) => number> = {
  relu: activationReference("relu"),
  gelu: activationReference("gelu"),
  gelu_tanh: activationReference("gelu_tanh"),
  quick_gelu: activationReference("quick_gelu"),
  silu: activationReference("silu"),
  sigmoid: activationReference("sigmoid"),
  tanh: Math.tanh,
  exp: Math.exp,
  log: Math.log,
  neg: (x) => -x,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  abs: Math.abs,
  square: (x) => x * x,
  sin: Math.sin,
  cos: Math.cos,
  clamp: (x, a, b) => Math.min(Math.max(x, a), b),
  affine: (x, a, b) => a * x + b,
  greater: (x, a) => (x > a ? 1 : 0),
};

export function unaryReference({ x }: { x: HostTensor }, { kind, a, b }: UnaryParams): HostTensor[] {
  const f = functions[kind];
  // parameters reach the GPU as f32
  const [fa, fb] = [Math.fround(a), Math.fround(b)];
  return [
    hostResult(
      x.shape,
      x.data.map((v) => f(v, fa, fb)),
    ),
  ];
}
