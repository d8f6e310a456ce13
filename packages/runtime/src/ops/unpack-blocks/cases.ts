import { fromFloat16Bits, toFloat16Bits } from "../../float16.ts";
import { type HostTensor, hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { Random } from "../../random.ts";
import type { DType } from "../../tensor.ts";
import { exactly } from "../permute/cases.ts";
import { type BlockFormat, blockFormats, planesOf } from "./formats.ts";
import { noFault, unpackBlocksOp } from "./index.ts";
import type { UnpackBlocksInputs, UnpackBlocksParams } from "./spec.ts";

/** Where a block's binary16 numbers stand. */
const halves: Readonly<Record<BlockFormat, readonly number[]>> = {
  Q8_0: [0],
  Q4_0: [0],
  Q5_0: [0],
  Q4_1: [0, 2],
  Q5_1: [0, 2],
  Q4_K: [0, 2],
  Q5_K: [0, 2],
  Q6_K: [208],
};

/** Random bytes, which any block may hold, but for the scales: theirs are drawn of either sign, subnormal ones among them. */
function randomBlocks(
  r: Random,
  format: BlockFormat,
  count: number,
  scale: (r: Random) => number,
): HostTensor {
  const { bytes } = blockFormats[format];
  const data = new Uint8Array(Math.ceil((count * bytes) / 4) * 4);
  for (let i = 0; i < data.length; i++) data[i] = r.integer(0, 256);
  const view = new DataView(data.buffer);
  for (let b = 0; b < count; b++) {
    for (const at of halves[format]) view.setUint16(b * bytes + at, toFloat16Bits(scale(r)), true);
  }
  return hostTensor([data.length / 4], "u32", Array.from(new Uint32Array(data.buffer)));
}

const usual = (r: Random) => (r.integer(0, 5) === 0 ? r.integer(-900, 900) * 2 ** -24 : r.normal() * 0.01);

interface Options {
  readonly row?: number;
  readonly of?: number;
  readonly headRows?: number;
  readonly scale?: (r: Random) => number;
  readonly name?: string;
}

function unpackCase(
  format: BlockFormat,
  to: DType,
  rows: number,
  blocksPerRow: number,
  { row = 0, of = rows, headRows = 0, scale = usual, name = "" }: Options = {},
): OpCase<UnpackBlocksInputs, UnpackBlocksParams> {
  const shape = [of, blocksPerRow * blockFormats[format].weights];
  return {
    name: `${format} to ${to} ${JSON.stringify(shape)}${rows < of ? ` rows ${row} to ${row + rows}` : ""}${headRows ? ` heads of ${headRows}` : ""}${name}`,
    params: { format, row, rows, headRows, slot: 1 },
    inputs: (r) => ({
      blocks: randomBlocks(r, format, rows * blocksPerRow, scale),
      target: r.normals(shape, { dtype: to }),
      faults: hostTensor([3], "u32", [7, noFault, noFault]),
    }),
    // products are exact in f32, a minimum is added with one rounding, and f16 is rounded to nearest even
    tolerance: exactly,
  };
}

const formats = Object.keys(blockFormats) as BlockFormat[];
/** The largest halves: their products are numbers in f32 and overflow f16. */
const largest = (r: Random) => fromFloat16Bits(0x7bff) * (r.integer(0, 2) ? 1 : -1);

export const unpackBlocksSuite = suite(
  unpackBlocksOp,
  formats.flatMap((format) => {
    const planes = planesOf[format];
    return [
      unpackCase(format, "f32", 1, 1),
      unpackCase(format, "f32", 7, 3),
      unpackCase(format, "f16", 5, 3),
      unpackCase(format, "f16", 3, 1, { row: 2, of: 7 }),
      unpackCase(format, "f32", 12, 1, { row: 6, of: 24, headRows: 6 }),
      unpackCase(format, "f16", 16, 2, { headRows: 16 }),
      unpackCase(format, "f16", 6, 1, { scale: largest, name: " too large for f16" }),
      ...(planes
        ? [
            unpackCase(format, planes, 1, 1),
            unpackCase(format, planes, 7, 3),
            // rows that start in the middle of a word of scales
            unpackCase(format, planes, 3, 1, { row: 1, of: 6 }),
            unpackCase(format, planes, 10, 3, { row: 10, of: 30, headRows: 10 }),
          ]
        : []),
    ];
  }),
);
