import { div, type Recorder, sqrt, square, sum, type Tensor } from "@mask-llava/runtime";

/** x / ‖x‖₂ over the last axis, as CLIP's embeddings are compared; no epsilon, as in the reference. */
export function l2Normalize(cmd: Recorder, x: Tensor): Tensor {
  const norm = sqrt(cmd, sum(cmd, square(cmd, x), [x.shape.length - 1], { keepDims: true })); // [.., 1]
  return div(cmd, x, norm);
}
