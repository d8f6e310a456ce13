import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

export interface TopKInputs {
  /** [.., V], f32; V up to 2^24. */
  readonly x: TensorSpec;
}

export interface TopKParams {
  readonly k: number;
}

/** What a workgroup can sort in 8 KiB of its memory. */
export const mostK = 1024;
/** Indices are three digits of eight bits. */
export const mostWidth = 2 ** 24;

export function checkTopK(x: TensorSpec, { k }: TopKParams): void {
  if (x.dtype !== "f32") throw new DTypeError(`topK: x is ${formatSpec(x)}; takes f32`);
  const width = x.shape.at(-1) ?? 0;
  if (width > mostWidth) throw new ShapeError(`topK: ${formatSpec(x)}: at most ${mostWidth} values a row`);
  if (!Number.isInteger(k) || k < 1 || k > Math.min(width, mostK))
    throw new ShapeError(`topK: k is ${k}; from 1 to ${Math.min(width, mostK)} for ${formatSpec(x)}`);
}
