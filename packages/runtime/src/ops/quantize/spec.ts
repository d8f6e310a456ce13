import { DTypeError, ShapeError } from "../../errors.ts";
import { isQuantized, type QuantizedDType } from "../../quantized.ts";
import { formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface QuantizeInputs {
  /** [R', K]: f32, f16, or (as no kernel computes in it) bf16 in u32s, two a word, [R', K / 2]. */
  readonly x: TensorSpec;
  /** [R, K], quantised; rows `row` to `row` + R' are overwritten. */
  readonly target: TensorSpec;
}

export interface QuantizeParams {
  readonly row: number;
}

export interface QuantizeShape {
  readonly dtype: QuantizedDType;
  /** Of x. */
  readonly rows: number;
  readonly width: number;
}

/** Throws DTypeError or ShapeError where `x` is not rows of `target`. */
export function quantizeShape({ x, target }: QuantizeInputs, { row }: QuantizeParams): QuantizeShape {
  const { dtype } = target;
  if (!isQuantized(dtype) || (x.dtype !== "f32" && x.dtype !== "f16" && x.dtype !== "u32")) {
    throw new DTypeError(
      `quantize: ${formatSpec(x)} to ${formatSpec(target)}: takes f32, f16 or bf16 in u32s to q8_0, q4_0 or q4_1`,
    );
  }
  const width = target.shape.at(-1) ?? 0;
  const stored = x.dtype === "u32" ? width / 2 : width;
  const rows = sizeOf(x.shape) / stored;
  const fits =
    width > 0 &&
    x.shape.at(-1) === stored &&
    Number.isInteger(row) &&
    row >= 0 &&
    row + rows <= sizeOf(target.shape) / width;
  if (!fits)
    throw new ShapeError(`quantize: ${formatSpec(x)} is not rows of ${formatSpec(target)} from row ${row}`);
  return { dtype, rows, width };
}
