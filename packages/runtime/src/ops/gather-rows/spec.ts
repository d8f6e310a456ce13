import type { TensorSpec } from "../../tensor.ts";

export interface GatherRowsInputs {
  /** [R, D]; f32, i32 or u32. */
  readonly x: TensorSpec;
  /** Any shape, u32. */
  readonly indices: TensorSpec;
}

export type GatherRowsParams = Readonly<Record<string, never>>;
