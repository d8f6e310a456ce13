import { DTypeError, ShapeError } from "../../errors.ts";
import { isQuantized } from "../../quantized.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

export interface EmbeddingInputs {
  /** [V, D]. f32, f16 or quantised. */
  readonly table: TensorSpec;
  /** Of any shape. u32, below V. */
  readonly ids: TensorSpec;
}
export type EmbeddingParams = Readonly<Record<never, never>>;

/** Rows and width of the table. Throws ShapeError or DTypeError. */
export function embeddingShape({ table, ids }: EmbeddingInputs): { rows: number; width: number } {
  const known = table.dtype === "f32" || table.dtype === "f16" || isQuantized(table.dtype);
  if (!known || ids.dtype !== "u32") {
    throw new DTypeError(
      `embedding: ${formatSpec(table)} by ${formatSpec(ids)}: takes a table of f32, f16 or a quantised dtype and ids of u32`,
    );
  }
  const [rows, width] = table.shape;
  if (table.shape.length !== 2 || !rows || !width)
    throw new ShapeError(`embedding: table ${formatSpec(table)} is not a matrix [V, D]`);
  return { rows, width };
}
