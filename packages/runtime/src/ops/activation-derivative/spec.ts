import type { Activation } from "../../activation.ts";
import type { TensorSpec } from "../../tensor.ts";

export interface ActivationDerivativeInputs {
  /** What the activation was applied to. Any shape, f32. */
  readonly x: TensorSpec;
}

export interface ActivationDerivativeParams {
  readonly activation: Activation;
}
