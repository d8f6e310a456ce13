import type { TensorSpec } from "../../tensor.ts";
import { checkTokenShapes, type TokenShape } from "../token-terms/spec.ts";

export interface TokenDotsInputs {
  /** [M, N, D], f32. */
  readonly x: TensorSpec;
  /** [D], f32. */
  readonly shared: TensorSpec;
  /** A vector a row. [N, D], f32. */
  readonly own: TensorSpec;
}

export function tokenDotsShape({ x, shared, own }: TokenDotsInputs): TokenShape {
  return checkTokenShapes("tokenDots", x, ({ n, d }) => [
    [shared, [d]],
    [own, [n, d]],
  ]);
}
