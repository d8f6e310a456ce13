import { div, maximum, mean, mul, type Recorder, sqrt, square, sum, type Tensor } from "@mask-llava/runtime";

/** Below this a token has no direction to keep: the mean of the features under an empty mask, say. It stays zero. */
const tiny = 1e-12;

/** L2 norms of rows. [N, D] -> [N, 1] */
export function rowNorms(cmd: Recorder, x: Tensor): Tensor {
  return sqrt(cmd, sum(cmd, square(cmd, x), [1], { keepDims: true }));
}

/** The mean norm of a picture's patch tokens, before any pooling, so that it is the same for every budget. [N, D] -> [1, 1] */
export function patchMeanNorm(cmd: Recorder, patches: Tensor): Tensor {
  return mean(cmd, rowNorms(cmd, patches), [0], { keepDims: true });
}

/** Rows scaled to one norm. x [N, D], norm [1, 1] -> [N, D] */
export function scaleToNorm(cmd: Recorder, x: Tensor, norm: Tensor): Tensor {
  const floor = cmd.constant({ shape: [1, 1], dtype: "f32", label: "tiny" }, Float32Array.of(tiny));
  return mul(cmd, x, div(cmd, norm, maximum(cmd, rowNorms(cmd, x), floor)));
}
