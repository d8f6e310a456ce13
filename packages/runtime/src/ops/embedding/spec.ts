import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";

export interface EmbeddingInputs {
  /** [V, D]. f32 or f16. */
  readonly table: TensorSpec;
  /** Of any shape. u32, below V. */
  readonly ids: TensorSpec;
}
export type EmbeddingParams = Readonly<Record<never, never>>;

/** Rows and width of the table. Throws ShapeError or DTypeError. */
export function embeddingShape({ table, ids }: EmbeddingInputs): { rows: number; width: number } {
  if ((table.dtype !== "f32" && table.dtype !== "f16") || ids.dtype !== "u32") {
    throw new DTypeError(
      `embedding: ${formatSpec(table)} by ${formatSpec(ids)}: takes a table of f32 or f16 and ids of u32`,
    );
  }
  const [rows, width] = table.shape;
  if (table.shape.length !== 2 || !rows || !width)
    throw new ShapeError(`embedding: table ${formatSpec(table)} is not a matrix [V, D]`);
  return { rows, width };
}
