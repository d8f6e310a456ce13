import { DTypeError } from "../../errors.ts";
import { isQuantized } from "../../quantized.ts";
import { type DType, formatSpec, type TensorSpec } from "../../tensor.ts";

export interface CastInputs {
  readonly x: TensorSpec;
}

export interface CastParams {
  readonly to: DType;
  /** Of f16: what is finite stays so, as the largest half at most, where it would become an infinity. */
  readonly finite?: boolean;
}

/** f32 -> f16 rounds to nearest even, as hardware and torch do; f16, i32 and u32 -> f32. */
export function checkCast(x: TensorSpec, to: DType): void {
  const known =
    (x.dtype === "f32" && to === "f16") || (x.dtype !== "f32" && to === "f32" && !isQuantized(x.dtype));
  if (!known)
    throw new DTypeError(`cast: ${formatSpec(x)} to ${to}: casts f32 to f16, and f16, i32, u32 to f32`);
}
