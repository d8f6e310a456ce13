import { fromFloat16Bits, roundToFloat16 } from "../../float16.ts";
import type { HostTensor } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type BlockFormat, blockFormats } from "./formats.ts";
import { sourceRow, type UnpackBlocksInputs, type UnpackBlocksParams, unpackBlocksShape } from "./spec.ts";

/** Bytes of a block, from its start. */
class Block {
  readonly view: DataView;
  constructor(buffer: ArrayBuffer, start: number) {
    this.view = new DataView(buffer, start);
  }
  byte(at: number): number {
    return this.view.getUint8(at);
  }
  signed(at: number): number {
    return this.view.getInt8(at);
  }
  half(at: number): number {
    return fromFloat16Bits(this.view.getUint16(at, true));
  }
  /** Nibble `i` of 32: the low ones of 16 bytes, then the high ones. */
  nibble(at: number, i: number): number {
    return (this.byte(at + (i % 16)) >> (i < 16 ? 0 : 4)) & 15;
  }
  bit(at: number, i: number): number {
    return (this.byte(at + (i >> 3)) >> (i & 7)) & 1;
  }
}

/** Scale and minimum of group `g` in the twelve bytes of Q4_K and Q5_K: six bits each. */
function scaleAndMinimum(b: Block, at: number, g: number): [number, number] {
  if (g < 4) return [b.byte(at + g) & 63, b.byte(at + 4 + g) & 63];
  const low = b.byte(at + 4 + g);
  return [(low & 15) | ((b.byte(at + g - 4) >> 6) << 4), (low >> 4) | ((b.byte(at + g) >> 6) << 4)];
}

/** Q4_K and Q5_K behind their quants. */
function superBlock(b: Block, i: number, quants: number, high: number | undefined): number {
  const g = i >> 5;
  const [s, n] = scaleAndMinimum(b, 4, g);
  const low = (b.byte(quants + 32 * (g >> 1) + (i & 31)) >> (4 * (g & 1))) & 15;
  const q = low | (high === undefined ? 0 : ((b.byte(high + (i & 31)) >> g) & 1) << 4);
  return b.half(0) * s * q - b.half(2) * n;
}

const values: Readonly<Record<BlockFormat, (b: Block, i: number) => number>> = {
  Q8_0: (b, i) => b.half(0) * b.signed(2 + i),
  Q4_0: (b, i) => b.half(0) * (b.nibble(2, i) - 8),
  Q4_1: (b, i) => b.half(0) * b.nibble(4, i) + b.half(2),
  Q5_0: (b, i) => b.half(0) * ((b.nibble(6, i) | (b.bit(2, i) << 4)) - 16),
  Q5_1: (b, i) => b.half(0) * (b.nibble(8, i) | (b.bit(4, i) << 4)) + b.half(2),
  Q4_K: (b, i) => superBlock(b, i, 16, undefined),
  Q5_K: (b, i) => superBlock(b, i, 48, 16),
  Q6_K(b, i) {
    const half = i >> 7;
    const run = (i >> 5) & 3;
    const j = i & 31;
    const low = (b.byte(64 * half + 32 * (run & 1) + j) >> (4 * (run >> 1))) & 15;
    const high = (b.byte(128 + 32 * half + j) >> (2 * run)) & 3;
    return b.half(208) * b.signed(192 + (i >> 4)) * ((low | (high << 4)) - 32);
  },
};

/** The f32 values of whole blocks, for small tensors that are needed on the host. */
export function unpackBlocksHost(bytes: Uint8Array, format: BlockFormat): Float32Array {
  const { weights, bytes: size } = blockFormats[format];
  const out = new Float32Array((bytes.byteLength / size) * weights);
  const { buffer } = bytes.slice();
  for (let b = 0; b * size < bytes.byteLength; b++) {
    const block = new Block(buffer, b * size);
    for (let i = 0; i < weights; i++) out[b * weights + i] = values[format](block, i);
  }
  return out;
}

/** Plain loops: one weight after the other. */
export function unpackBlocksReference(
  { blocks, target, faults }: HostTensors<UnpackBlocksInputs>,
  params: UnpackBlocksParams,
): HostTensor[] {
  const { format, row, rows, headRows, slot } = params;
  const { width, blocksPerRow } = unpackBlocksShape({ blocks, target, faults }, params);
  const { weights, bytes } = blockFormats[format];
  const { buffer } = Uint32Array.from(blocks.data);
  for (let o = row; o < row + rows; o++) {
    const source = (sourceRow(o, headRows) - row) * blocksPerRow;
    for (let k = 0; k < width; k++) {
      const block = new Block(buffer, (source + Math.floor(k / weights)) * bytes);
      const exact = Math.fround(values[format](block, k % weights));
      const value = target.dtype === "f16" ? roundToFloat16(exact) : exact;
      target.data[o * width + k] = value;
      if (!Number.isFinite(value)) faults.data[slot] = Math.min(faults.data[slot] as number, o);
    }
  }
  return [];
}
