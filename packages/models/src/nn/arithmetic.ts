import {
  type Arithmetic,
  isQuantized,
  type NormedInput,
  normedInput,
  type Recorder,
  type RmsNorm,
  rmsNorm,
  type Tensor,
} from "@mask-llava/runtime";

/**
 * What the products of x with `weights` are made of, by the device's setting: what all of them can be.
 *
 * Axis 0 of x counts items side by side (sequences, pictures, windows, prompts), the last its features, and those between an
 * item's positions: [B, T, K], or [B, h, w, K] of a map. The positions decide, never how many items there are, so that none is
 * computed otherwise beside others than alone. An item of several is rounded. One of a single position stays f32: a token that
 * is decoded, whose products wait for weights and have kernels that norm and gate on the way. So do the rows of a matrix
 * [M, K], such as pooled embeddings, which stand for themselves.
 */
export function arithmeticOf(cmd: Recorder, x: Tensor, weights: readonly Tensor[]): Arithmetic {
  const positions = x.shape.slice(1, -1).reduce((a, b) => a * b, 1);
  if (cmd.device.arithmetic !== "reduced" || positions <= 1) return "f32";
  if (weights.every(({ dtype }) => dtype === "f16")) return "f16";
  return weights.every(({ dtype }) => isQuantized(dtype)) ? "integer" : "f32";
}

/** `normedInput` of x [B, T, K] for layers that may round it. They round what is normed, so that their kernels cannot norm it. */
export function normedLayerInput(
  cmd: Recorder,
  x: Tensor,
  norm: RmsNorm,
  weights: readonly Tensor[],
): NormedInput {
  const rounded = weights.some((weight) => arithmeticOf(cmd, x, [weight]) !== "f32");
  return rounded ? { x: rmsNorm(cmd, x, norm.gain, norm.eps) } : normedInput(cmd, x, norm, weights);
}
