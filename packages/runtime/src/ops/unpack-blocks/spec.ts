import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";
import { type BlockFormat, blockFormats, planesOf } from "./formats.ts";

export interface UnpackBlocksInputs {
  /** Bytes of whole rows of blocks, as they stand in a file. u32 [words]. */
  readonly blocks: TensorSpec;
  /** [.., K], f32, f16, or the format's own quantised dtype; the rows named are overwritten. */
  readonly target: TensorSpec;
  /** u32 [S]. In `slot` stays the least of what is there and of the target rows that hold a value which is not finite. */
  readonly faults: TensorSpec;
}

export interface UnpackBlocksParams {
  readonly format: BlockFormat;
  /** The target row that the first row of blocks belongs to, or the first of its head. */
  readonly row: number;
  readonly rows: number;
  /**
   * Rows of a head (its size d) where the file has them interleaved for llama.cpp's rotary embedding: row 2i + h of a head
   * is row i + h · d / 2 of the target's. 0: rows keep their order.
   */
  readonly headRows: number;
  /** Where in `faults` this tensor's stand. */
  readonly slot: number;
}

export interface UnpackBlocksShape {
  /** Weights and blocks of a row. */
  readonly width: number;
  readonly blocksPerRow: number;
  /** Whether the target is planes of the same numbers. */
  readonly planes: boolean;
}

/** Throws DTypeError or ShapeError where the blocks are not rows of the target. */
export function unpackBlocksShape(
  { blocks, target, faults }: UnpackBlocksInputs,
  { format, row, rows, headRows, slot }: UnpackBlocksParams,
): UnpackBlocksShape {
  const { weights, bytes } = blockFormats[format];
  const planes = target.dtype === planesOf[format];
  if (
    blocks.dtype !== "u32" ||
    faults.dtype !== "u32" ||
    !(planes || target.dtype === "f32" || target.dtype === "f16")
  ) {
    throw new DTypeError(
      `unpackBlocks: ${formatSpec(blocks)} of ${format} to ${formatSpec(target)}, faults ${formatSpec(faults)}: takes words to f32, f16${planesOf[format] ? ` or ${planesOf[format]}` : ""}`,
    );
  }
  const width = target.shape.at(-1) ?? 0;
  const blocksPerRow = width / weights;
  const all = sizeOf(target.shape) / width;
  const whole = Number.isInteger(blocksPerRow) && width > 0;
  const inside = Number.isInteger(row) && Number.isInteger(rows) && row >= 0 && rows > 0 && row + rows <= all;
  const heads =
    headRows === 0 || (headRows % 2 === 0 && row % headRows === 0 && rows % headRows === 0 && headRows > 0);
  const given = Number.isInteger(slot) && slot >= 0 && slot < sizeOf(faults.shape);
  if (!whole || !inside || !heads || !given || sizeOf(blocks.shape) * 4 < rows * blocksPerRow * bytes) {
    throw new ShapeError(
      `unpackBlocks: ${formatSpec(blocks)} is not rows ${row} to ${row + rows} of ${formatSpec(target)} in ${format}, heads of ${headRows}, slot ${slot} of ${formatSpec(faults)}`,
    );
  }
  return { width, blocksPerRow, planes };
}

/** The row of a file's head that row `row` of the target comes from. */
export function sourceRow(row: number, headRows: number): number {
  if (headRows === 0) return row;
  const within = row % headRows;
  const half = headRows / 2;
  return row - within + 2 * (within % half) + Math.floor(within / half);
}
