import { layerNorm, type Recorder, type Tensor } from "@mask-llava/runtime";
import type { Weights } from "../checkpoint/index.ts";

/** Layer norm over the last axis; gain and bias in f32. */
export class LayerNorm {
  readonly weight: Tensor; // [D]
  readonly bias: Tensor; // [D]
  readonly eps: number;

  constructor(weight: Tensor, bias: Tensor, eps: number) {
    this.weight = weight;
    this.bias = bias;
    this.eps = eps;
  }

  static load(w: Weights, width: number, eps: number): LayerNorm {
    return new LayerNorm(
      w.take("weight", [width], { dtype: "f32" }),
      w.take("bias", [width], { dtype: "f32" }),
      eps,
    );
  }

  forward(cmd: Recorder, x: Tensor): Tensor {
    return layerNorm(cmd, x, this.weight, this.bias, this.eps);
  }
}
