import { DTypeError, ShapeError } from "../../errors.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface QuantizeInputs {
  /** [R', K]: f32, f16, or (as no kernel computes in it) bf16 in u32s, two a word, [R', K / 2]. */
  readonly x: TensorSpec;
  /** [R, K], quantised; rows `row` to `row` + R' are overwritten. Absent: a tensor of `dtype` with x's rows is made. */
  readonly target?: TensorSpec | undefined;
}

export interface QuantizeParams {
  readonly row: number;
  readonly dtype: QuantizedDType;
}

export interface QuantizeShape {
  /** Of x. */
  readonly rows: number;
  readonly width: number;
}

/** Throws DTypeError or ShapeError where `x` is not rows of `target`. */
export function quantizeShape({ x, target }: QuantizeInputs, { row, dtype }: QuantizeParams): QuantizeShape {
  const fits = !target || target.dtype === dtype;
  if (!fits || (x.dtype !== "f32" && x.dtype !== "f16" && x.dtype !== "u32")) {
    throw new DTypeError(
      `quantize: ${formatSpec(x)} to ${target ? formatSpec(target) : dtype}: takes f32, f16 or bf16 in u32s`,
    );
  }
  const stored = x.shape.at(-1) ?? 0;
  const width = x.dtype === "u32" ? 2 * stored : stored;
  const rows = sizeOf(x.shape) / stored;
  const within =
    !target || (target.shape.at(-1) === width && row >= 0 && row + rows <= sizeOf(target.shape) / width);
  if (width === 0 || !Number.isInteger(row) || !within)
    throw new ShapeError(
      `quantize: ${formatSpec(x)} is not rows of ${target ? formatSpec(target) : dtype} from row ${row}`,
    );
  return { rows, width };
}
