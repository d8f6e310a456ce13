/**
 * Quantised weights: the dtypes `q8_0`, `q4_0` and `q4_1`, named after the GGUF block types whose numbers they hold
 * (ggml's ggml-common.h), so that such blocks are laid out anew without loss. Keys and values may be q8_0, too: their rows
 * are heads.
 *
 * Every row (the last axis, K weights) is cut into groups of 32. A group has a scale d, and in q4_1 a minimum m, in f16;
 * a weight is one small integer q:
 *
 *     dtype   q              value        bytes a group (quants + scale)
 *     q8_0    int8           d · q        32 + 2      symmetric, q of -127 … 127 (files may hold -128)
 *     q4_0    0 … 15         d · (q - 8)  16 + 2      symmetric; d may be negative
 *     q4_1    0 … 15         d · q + m    16 + 4      with a minimum
 *
 * A tensor's bytes are two planes, so that kernels read quants as whole vec4<u32>s; a block of a file is split, no
 * quant moves within its group:
 *
 *     quants  at byte 0: row after row, group after group, without gaps. R · G · 32 or 16 bytes
 *             q8_0: weight i of the group is byte i.
 *             q4_0, q4_1: byte j holds weight j in its low and weight j + 16 in its high four bits.
 *     scales  at the next multiple of 256 bytes (any device can bind there): row after row, group after group.
 *             q8_0, q4_0: d, 2 bytes. q4_1: d and m, 2 bytes each, d first. Little-endian binary16.
 *
 * with R rows (all axes but the last) and G = ceil(K / 32) groups a row. Where K is no multiple of 32, the last group of
 * each row is padded: with zeros in q8_0 and q4_0, with the row's last value in q4_1, which may have no zero, so that
 * whoever multiplies weights with the padding of something else makes that zero. Files do not have padding; the networks
 * of tests do.
 */
import { ShapeError } from "./errors.ts";

export type QuantizedDType = "q8_0" | "q4_0" | "q4_1";

/** Weights that share a scale. */
export const quantGroup = 32;

const quantBytes: Readonly<Record<QuantizedDType, number>> = { q8_0: 32, q4_0: 16, q4_1: 16 };
const scaleBytes: Readonly<Record<QuantizedDType, number>> = { q8_0: 2, q4_0: 2, q4_1: 4 };

/** Where a plane may start: the largest alignment that a device may ask of a binding. */
const planeAlignment = 256;

export function isQuantized(dtype: string): dtype is QuantizedDType {
  return dtype in quantBytes;
}

/** One of the two planes of a quantised tensor: bytes from the tensor's start, and of one row. */
export interface QuantizedPlane {
  readonly offset: number;
  readonly bytes: number;
  readonly rowBytes: number;
}

export interface QuantizedLayout {
  readonly rows: number;
  /** K: weights a row. */
  readonly width: number;
  /** G: groups a row. */
  readonly groups: number;
  readonly quants: QuantizedPlane;
  readonly scales: QuantizedPlane;
  /** Of the whole tensor; a multiple of 16. */
  readonly bytes: number;
}

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;

/** Where the planes of a tensor [.., K] lie. Throws a ShapeError for a scalar. */
export function quantizedLayout(shape: readonly number[], dtype: QuantizedDType): QuantizedLayout {
  const width = shape.at(-1);
  if (width === undefined) throw new ShapeError(`${dtype}[]: a scalar has no row to share a scale`);
  const rows = shape.slice(0, -1).reduce((a, b) => a * b, 1);
  const groups = Math.ceil(width / quantGroup);
  const plane = (offset: number, groupBytes: number): QuantizedPlane => ({
    offset,
    bytes: rows * groups * groupBytes,
    rowBytes: groups * groupBytes,
  });
  const quants = plane(0, quantBytes[dtype]);
  const scales = plane(roundUp(quants.bytes, planeAlignment), scaleBytes[dtype]);
  const bytes = Math.max(16, roundUp(scales.offset + scales.bytes, 16));
  return { rows, width, groups, quants, scales, bytes };
}
