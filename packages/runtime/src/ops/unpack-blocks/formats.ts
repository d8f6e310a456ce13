import type { QuantizedDType } from "../../quantized.ts";

/**
 * Block formats of GGUF files (ggml-common.h of ggml, `block_q4_0` … `block_q6_K`): weights a block and its bytes. A row
 * is whole blocks, one after the other. d, m and dmin are binary16; bytes stand in this order:
 *
 *     format  bytes of a block                                     value of weight i
 *     Q8_0    d, 32 int8 q                                         d · q
 *     Q4_0    d, 16 nibble pairs                                   d · (q - 8)
 *     Q4_1    d, m, 16 nibble pairs                                d · q + m
 *     Q5_0    d, 32 high bits, 16 nibble pairs                     d · (q - 16)
 *     Q5_1    d, m, 32 high bits, 16 nibble pairs                  d · q + m
 *     Q4_K    d, dmin, 12 bytes of 8 scales s and 8 minima n,      d · s · q - dmin · n
 *             4 runs of 32 nibble pairs
 *     Q5_K    d, dmin, 12 bytes as Q4_K, 32 bytes of high bits,    d · s · q - dmin · n
 *             4 runs of 32 nibble pairs
 *     Q6_K    128 low nibble pairs, 64 bytes of high bit pairs,    d · s · (q - 32)
 *             16 int8 scales s, d
 *
 * Nibble pairs hold weight j low and weight j + 16 high (in the formats of 256, groups of 32 in turn).
 */
export const blockFormats = {
  Q4_0: { weights: 32, bytes: 18 },
  Q4_1: { weights: 32, bytes: 20 },
  Q5_0: { weights: 32, bytes: 22 },
  Q5_1: { weights: 32, bytes: 24 },
  Q8_0: { weights: 32, bytes: 34 },
  Q4_K: { weights: 256, bytes: 144 },
  Q5_K: { weights: 256, bytes: 176 },
  Q6_K: { weights: 256, bytes: 210 },
} as const;

export type BlockFormat = keyof typeof blockFormats;

export function isBlockFormat(name: string): name is BlockFormat {
  return Object.hasOwn(blockFormats, name);
}

/** The dtype that holds a format's very numbers in planes, where there is one. */
export const planesOf: Readonly<Partial<Record<BlockFormat, QuantizedDType>>> = {
  Q8_0: "q8_0",
  Q4_0: "q4_0",
  Q4_1: "q4_1",
};
