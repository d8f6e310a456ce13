import { type Activation, activationWgsl } from "../../activation.ts";
import { read, type UniformType, write } from "../../kernel.ts";
import type { Tensor } from "../../tensor.ts";
import type { MatmulParams } from "./spec.ts";

const activations: readonly Activation[] = [
  "none",
  "relu",
  "gelu",
  "gelu_tanh",
  "quick_gelu",
  "silu",
  "sigmoid",
];

/**
 * Bindings of every matmul kernel but the operands. An absent bias or residual is bound to A and not read; gated products
 * have neither.
 */
export const epilogueBindings = { y: write("f32"), bias: read("f32"), residual: read("f32") };
export const gatedEpilogueBindings = { y: write("f32"), bias: undefined, residual: undefined };

/**
 * Scale, bias, activation and residual are switched by uniforms: the products of a model then share a pipeline an
 * operand type, which saves far more (0.2 s a pipeline on software adapters) than the branches cost.
 */
export const epilogueUniforms = {
  scale: "f32",
  activation: "u32",
  has_bias: "u32",
  has_residual: "u32",
  /** Of the RMS norm of A's rows. */
  eps: "f32",
} as const satisfies Record<string, UniformType>;

export function epilogueValues(
  { activation, scale, eps = 0 }: MatmulParams,
  { bias, residual }: { bias?: Tensor | undefined; residual?: Tensor | undefined },
): Record<keyof typeof epilogueUniforms, number> {
  return {
    scale,
    activation: activations.indexOf(activation),
    has_bias: bias ? 1 : 0,
    has_residual: residual ? 1 : 0,
    eps,
  };
}

const fused = activations.filter((a) => a !== "none");

const activateWgsl = `
${fused.map((a) => activationWgsl(a).replace("fn activate(", `fn activate_${a}(`)).join("\n")}
fn activate(x: f32) -> f32 {
  switch u.activation {
${fused.map((a) => `    case ${activations.indexOf(a)}u: { return activate_${a}(x); }`).join("\n")}
    default: { return x; }
  }
}`;

/** `fn finish(at: u32, column: u32, sum: f32)` writes y[at]; `column` counts from the matrix's first. */
export const epilogueWgsl = `${activateWgsl}
fn finish(at: u32, column: u32, sum: f32) {
  var v = u.scale * sum;
  if (u.has_bias != 0u) { v += bias[column]; }
  if (u.activation != 0u) { v = activate(v); }
  if (u.has_residual != 0u) { v += residual[at]; }
  y[at] = v;
}`;

/** `fn finish_gated(at: u32, gate: f32, up: f32)` writes y[at], where a second matrix gates the product. */
export const gatedEpilogueWgsl = `${activateWgsl}
fn finish_gated(at: u32, gate: f32, up: f32) { y[at] = activate(u.scale * gate) * (u.scale * up); }`;
