import type { TensorSpec } from "../../tensor.ts";

export interface RmsNormInputs {
  /** [.., D], f32. */
  readonly x: TensorSpec;
  /** [D], f32 or f16. */
  readonly weight: TensorSpec;
}
