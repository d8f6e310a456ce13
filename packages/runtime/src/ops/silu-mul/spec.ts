import type { TensorSpec } from "../../tensor.ts";

export interface SiluMulInputs {
  /** Any shape, f32. */
  readonly gate: TensorSpec;
  /** Of the same shape, f32. */
  readonly up: TensorSpec;
}

export type SiluMulParams = Readonly<Record<string, never>>;
