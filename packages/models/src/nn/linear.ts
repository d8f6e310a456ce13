import { type LinearOptions, linear, type Recorder, type Tensor } from "@mask-llava/runtime";
import type { WeightRole, Weights } from "../checkpoint/index.ts";
import { arithmeticOf } from "./arithmetic.ts";

/** y = activation(x Wᵀ + b) + residual; the weight in the checkpoint's dtype, the bias in f32. */
export class Linear {
  readonly weight: Tensor; // [N, K]
  readonly bias: Tensor | undefined; // [N]

  constructor(weight: Tensor, bias?: Tensor) {
    this.weight = weight;
    this.bias = bias;
  }

  /**
   * `weight` [outputs, inputs] and, unless `bias` is false, `bias` [outputs] below the cursor. With a `role` the weight is
   * quantised where the checkpoint's weights are.
   */
  static load(
    w: Weights,
    inputs: number,
    outputs: number,
    { bias = true, role }: { bias?: boolean; role?: WeightRole } = {},
  ): Linear {
    const weight = w.take("weight", [outputs, inputs], { role });
    return new Linear(weight, bias ? w.take("bias", [outputs], { dtype: "f32" }) : undefined);
  }

  /** [.., K] -> [.., N]; rounds x as the device's `arithmetic` says. */
  forward(cmd: Recorder, x: Tensor, options: Omit<LinearOptions, "bias" | "arithmetic"> = {}): Tensor {
    const arithmetic = arithmeticOf(cmd, x, [this.weight]);
    return linear(cmd, x, this.weight, { ...options, arithmetic, bias: this.bias }); // [.., N]
  }
}
