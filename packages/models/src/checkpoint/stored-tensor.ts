import {
  type BlockFormat,
  blockFormats,
  isBlockFormat,
  isQuantized,
  type QuantizedDType,
  quantizedLayout,
} from "@mask-llava/runtime";
import type { ByteSource } from "./byte-source.ts";

/** Bytes of one element in a file. */
export const storedBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
} as const;

/** Element types. */
export type StoredDType = keyof typeof storedBytes;

/**
 * What a file holds a tensor in: elements, the blocks of a GGUF file, or the planes of one of the runtime's quantised
 * dtypes (quantized-tensors.ts).
 */
export type StoredType = StoredDType | BlockFormat | QuantizedDType;

/** One tensor in one file. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  readonly source: ByteSource;
  /** Absolute byte range [begin, end) in the file; of planes, that of the quants. */
  readonly begin: number;
  readonly end: number;
  /** Of planes: the byte range of the scales. */
  readonly scales?: { readonly begin: number; readonly end: number };
  /**
   * Rows of a head where its rows (axis 0) are interleaved: row 2i + h of a head is row i + h · headRows / 2 of the network's.
   * Queries and keys in GGUF files of LLaMAs are.
   */
  readonly headRows?: number;
}

export function isElementType(type: StoredType): type is StoredDType {
  return Object.hasOwn(storedBytes, type);
}

/** Whether the weights were quantised before they were stored. */
export function isStoredQuantized(type: StoredType): type is BlockFormat | QuantizedDType {
  return isBlockFormat(type) || isQuantized(type);
}

/** Bytes in the file. */
export function fileBytes({ begin, end, scales }: StoredTensor): number {
  return end - begin + (scales ? scales.end - scales.begin : 0);
}

/** Bytes of a row (the last axis), of planes those of its quants. */
export function storedRowBytes({ dtype, shape }: Pick<StoredTensor, "dtype" | "shape">): number {
  const width = shape.at(-1) ?? 1;
  if (isQuantized(dtype)) return quantizedLayout(shape, dtype).quants.rowBytes;
  if (!isBlockFormat(dtype)) return width * storedBytes[dtype];
  const { weights, bytes } = blockFormats[dtype];
  return (width / weights) * bytes;
}

/** Rows of whole heads in the network's order. `bytes` are those of some whole heads. */
export function withoutInterleaving(bytes: Uint8Array, rowBytes: number, headRows: number): Uint8Array {
  const out = new Uint8Array(bytes.byteLength);
  const half = headRows / 2;
  for (let row = 0; row * rowBytes < bytes.byteLength; row++) {
    const within = row % headRows;
    const source = row - within + 2 * (within % half) + Math.floor(within / half);
    out.set(bytes.subarray(source * rowBytes, (source + 1) * rowBytes), row * rowBytes);
  }
  return out;
}
