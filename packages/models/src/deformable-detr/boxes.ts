import { affine, clamp, div, log, type Recorder, type Tensor } from "@mask-llava/runtime";

const eps = 1e-5;

/** log(x / (1 - x)) with both clamped to at least 1e-5, as the reference's `inverse_sigmoid`. Any shape. */
export function inverseSigmoid(cmd: Recorder, x: Tensor): Tensor {
  const numerator = clamp(cmd, x, eps, 1);
  const denominator = clamp(cmd, affine(cmd, x, -1, 1), eps, 1);
  return log(cmd, div(cmd, numerator, denominator));
}
