import type { TensorSpec } from "../../tensor.ts";

export interface ArgmaxInputs {
  /** [.., V], f32. */
  readonly x: TensorSpec;
}

export type ArgmaxParams = Readonly<Record<string, never>>;
