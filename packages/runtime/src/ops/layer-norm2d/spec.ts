import type { TensorSpec } from "../../tensor.ts";

export interface LayerNorm2dInputs {
  /** [N, C, H, W] (or any spatial axes), f32. */
  readonly x: TensorSpec;
  /** [C], f32 or f16. */
  readonly weight: TensorSpec;
  /** [C], f32 or f16. */
  readonly bias: TensorSpec;
}
