import type { Activation } from "../../activation.ts";
import { chooseVariant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { mul } from "../binary/index.ts";
import { rmsNorm } from "../rms-norm/index.ts";
import { siluMul } from "../silu-mul/index.ts";
import { type Arithmetic, linear, matmulOp, operandOf, type RmsNorm } from "./index.ts";
import type { MatmulInputs } from "./spec.ts";

/** Whether the kernel that would multiply A by B anyway also norms A, or gates the product by `up`, on the way. */
function fuses(cmd: Recorder, inputs: MatmulInputs, extra: Pick<MatmulInputs, "gain" | "up">): boolean {
  const { caps } = cmd.device;
  const params = { transposeB: true, activation: "none", scale: 1 } as const;
  // not what tuning has found for the product alone: the norm or the other product would then take a dispatch of its own
  return chooseVariant(matmulOp, inputs, params, caps).supports({ ...inputs, ...extra }, params, caps);
}

/** An input of linear layers, with what they have yet to do to it. */
export interface NormedInput {
  readonly x: Tensor;
  /** Absent where `x` is normed already. */
  readonly norm?: RmsNorm;
}

/**
 * The RMS norm of x [.., K] as the input of linear layers with `weights`: computed now, or by the layers themselves where
 * their kernels can, as in decoding, which saves a dispatch.
 */
export function normedInput(
  cmd: Recorder,
  x: Tensor,
  norm: RmsNorm,
  weights: readonly Tensor[],
): NormedInput {
  const { gain } = norm;
  if (weights.every((b) => fuses(cmd, { a: x, b }, { gain }))) return { x, norm };
  return { x: rmsNorm(cmd, x, gain, norm.eps) };
}

/** The weights of a gated MLP's first layers. [N, K] each; biases f32 [N] */
export interface GatedWeights {
  readonly gate: Tensor;
  readonly up: Tensor;
  readonly gateBias?: Tensor | undefined;
  readonly upBias?: Tensor | undefined;
}

/**
 * activation(x gateᵀ) · (x upᵀ), the inside of a gated MLP (Shazeer 2020). [.., K] -> [.., N]. With the default `arithmetic`
 * it is one dispatch where kernels can.
 */
export function gatedLinear(
  cmd: Recorder,
  { x, norm }: NormedInput,
  { gate, up, gateBias, upBias }: GatedWeights,
  activation: Activation,
  arithmetic: Arithmetic = "f32",
): Tensor {
  const alike = arithmetic === "f32" && gate.dtype === up.dtype && !gateBias && !upBias;
  if (alike && fuses(cmd, { a: x, b: gate }, { gain: norm?.gain, up })) {
    const inputs = { a: x, b: gate, up, gain: norm?.gain, bias: undefined, residual: undefined };
    return cmd.call1(matmulOp, inputs, { transposeB: true, activation, scale: 1, eps: norm?.eps ?? 0 });
  }
  const a = operandOf(cmd, x, arithmetic); // [.., K]
  const raised = linear(cmd, a, up, { norm, bias: upBias }); // [.., N]
  if (activation === "silu") return siluMul(cmd, linear(cmd, a, gate, { norm, bias: gateBias }), raised);
  return mul(cmd, linear(cmd, a, gate, { norm, bias: gateBias, activation }), raised);
}
