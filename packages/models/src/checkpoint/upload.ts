/** Streams tensors from files to the GPU in bounded chunks, in file order, reading ahead. */
import {
  type BlockFormat,
  CancelledError,
  type DType,
  isBlockFormat,
  isQuantized,
  planesOf,
  type Tensor,
  type TensorSpec,
} from "@mask-llava/runtime";
import type { ByteSource } from "./byte-source.ts";
import { ConversionError, convert } from "./convert.ts";
import { CheckpointError } from "./errors.ts";
import {
  isElementType,
  type StoredDType,
  type StoredTensor,
  storedBytes,
  storedRowBytes,
  withoutInterleaving,
} from "./stored-tensor.ts";

/** Rows of a GGUF file's blocks. */
export interface BlockRows {
  readonly bytes: Uint8Array;
  readonly format: BlockFormat;
  /** Where they go in the target. */
  readonly row: number;
  readonly rows: number;
  /** See StoredTensor; 0: rows keep their order. */
  readonly headRows: number;
  /** Where a fault in them is noted. */
  readonly slot: number;
}

/** What the upload needs of a device. */
export interface UploadDevice {
  write(tensor: Tensor, data: ArrayBufferView, byteOffset?: number): void;
  /** Quantises rows (f32, f16, or bf16 as u32s of two) into rows of `target` from `row` on. */
  quantize(
    target: Tensor,
    rows: { readonly spec: TensorSpec; readonly data: ArrayBufferView; readonly row: number },
  ): Promise<void>;
  /** Puts the values of blocks, or the same numbers laid out anew, into rows of `target`. */
  unpack(target: Tensor, rows: BlockRows): Promise<void>;
  /** Slots of what was unpacked and held a value that is not finite, or that the target does not hold. */
  faults(): Promise<readonly number[]>;
  /** Resolves when the writes so far are done, so that their staging memory is free. */
  idle(): Promise<void>;
}

/** One stored tensor on its way to a place in a GPU tensor. */
export interface Upload {
  readonly stored: StoredTensor;
  readonly target: Tensor;
  readonly dtype: DType;
  /** Where its first element goes in the target, in elements; even for f16, as writes are of whole words. */
  readonly firstElement: number;
  /** The stored bytes go to this byte of the target as they are. */
  readonly asIs?: number;
}

/** Part of an upload within one read. */
interface Part {
  readonly upload: Upload;
  /** Byte range in the file. */
  readonly begin: number;
  readonly end: number;
}

/** One contiguous range of a file and what is in it. */
export interface Read {
  readonly source: ByteSource;
  readonly begin: number;
  end: number;
  readonly parts: Part[];
}

/** A read; with `readAhead` of them, their conversion and the staging between two waits, the host holds under 200 MiB. */
export const chunkBytes = 16 * 2 ** 20;
const readAhead = 3;
/** Bytes written between two waits for the device. */
const stagedBytes = 64 * 2 ** 20;
/** Small tensors share a read where no more than this lies between them: a request costs more than these bytes. */
const gapBytes = 64 * 1024;

/**
 * Reads of at most `chunk` bytes (a multiple of 16, so that every part starts at an even element) in file order. What is
 * quantised or of blocks is read by whole rows, interleaved rows by whole heads, of which one may be longer.
 */
export function planReads(uploads: readonly Upload[], chunk = chunkBytes): Read[] {
  const order = [...uploads].sort(
    (a, b) => compare(a.stored.source.name, b.stored.source.name) || a.stored.begin - b.stored.begin,
  );
  const reads: Read[] = [];
  for (const upload of order) {
    const { source, begin, end } = upload.stored;
    const step = partBytes(upload, chunk);
    for (let at = begin; at < end; at += step) {
      const part: Part = { upload, begin: at, end: Math.min(at + step, end) };
      const last = reads.at(-1);
      if (
        last?.source === source &&
        part.begin >= last.begin &&
        part.begin - last.end <= gapBytes &&
        part.end - last.begin <= chunk
      ) {
        last.parts.push(part);
        last.end = Math.max(last.end, part.end);
      } else {
        reads.push({ source, begin: part.begin, end: part.end, parts: [part] });
      }
    }
  }
  return reads;
}

function partBytes({ stored, dtype, asIs }: Upload, chunk: number): number {
  const { headRows, dtype: from } = stored;
  if (asIs !== undefined || !(isQuantized(dtype) || isBlockFormat(from) || headRows)) return chunk;
  const unit = headRows ? headRows * axisRowBytes(stored) : storedRowBytes(stored);
  let units = Math.floor(chunk / unit);
  if (needsValues(stored, dtype)) {
    // their f32 values are in memory for a while
    const valueBytes = (unit / storedRowBytes(stored)) * rowWidth(stored) * 4;
    units = Math.min(units, Math.floor((2 * chunk) / valueBytes));
  }
  return Math.max(1, units) * unit;
}

/** Whether blocks become values before they are quantised anew. */
export function needsValues({ dtype: from }: Pick<StoredTensor, "dtype">, to: DType): boolean {
  return isBlockFormat(from) && isQuantized(to) && planesOf[from] !== to;
}

/** Bytes of a row of axis 0. */
const axisRowBytes = ({ begin, end, shape }: StoredTensor): number => (end - begin) / (shape[0] ?? 1);

const rowWidth = ({ shape }: StoredTensor): number => shape.at(-1) ?? 1;

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

export interface UploadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes of tensor data transferred, and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Transfers all `uploads`. On failure or abort the targets hold garbage; the caller releases them. */
export async function upload(
  device: UploadDevice,
  uploads: readonly Upload[],
  options: UploadOptions = {},
  chunk = chunkBytes,
): Promise<void> {
  const reads = planReads(uploads, chunk);
  const slots = new Map(uploads.map((u, slot) => [u, slot]));
  const total = uploads.reduce((n, { stored }) => n + stored.end - stored.begin, 0);
  const scratch = new ArrayBuffer(scratchBytes(reads));
  const buffers = reads.slice(0, readAhead).map(() => new Uint8Array(longest(reads)));
  const ahead: Promise<Uint8Array>[] = [];
  const start = (i: number) => {
    const read = reads[i];
    if (!read) return;
    const bytes = read.source.read(read.begin, read.end - read.begin, buffers[i % readAhead]);
    bytes.catch(() => {}); // reported where it is awaited; must not go unhandled until then
    ahead.push(bytes);
  };
  let done = 0;
  let staged = 0;
  try {
    for (let i = 0; i < readAhead; i++) start(i);
    for (const [i, read] of reads.entries()) {
      throwIfAborted(options.signal);
      const bytes = await (ahead.shift() as Promise<Uint8Array>);
      for (const part of read.parts) {
        staged += await writePart(
          device,
          part,
          bytes.subarray(part.begin - read.begin, part.end - read.begin),
          scratch,
          slots.get(part.upload) as number,
        );
        done += part.end - part.begin;
        if (staged >= stagedBytes) {
          await device.idle();
          staged = 0;
        }
      }
      start(i + readAhead);
      options.onProgress?.(done, total);
    }
    await device.idle();
    throwIfAborted(options.signal);
    checkFaults(uploads, await device.faults());
  } finally {
    await Promise.allSettled(ahead);
  }
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CancelledError("loading was cancelled");
}

/** Converts one part and writes it. Returns the bytes written. */
async function writePart(
  device: UploadDevice,
  part: Part,
  bytes: Uint8Array,
  scratch: ArrayBuffer,
  slot: number,
): Promise<number> {
  const { stored, target, dtype, firstElement, asIs } = part.upload;
  if (asIs !== undefined) {
    device.write(target, bytes, asIs + part.begin - stored.begin);
    return bytes.byteLength;
  }
  if (isBlockFormat(stored.dtype)) {
    const rowBytes = storedRowBytes(stored);
    const row = firstElement / rowWidth(stored) + (part.begin - stored.begin) / rowBytes;
    const { dtype: format, headRows = 0 } = stored;
    const rows = bytes.byteLength / rowBytes;
    await device.unpack(target, { bytes, format, row, rows, headRows, slot });
    return bytes.byteLength;
  }
  const elements = stored.headRows
    ? withoutInterleaving(bytes, axisRowBytes(stored), stored.headRows)
    : bytes;
  const skipped = (part.begin - stored.begin) / elementBytes(stored);
  if (isQuantized(dtype)) {
    const rows = rowsOf(stored, elements, scratch);
    await device.quantize(target, { ...rows, row: (firstElement + skipped) / rowWidth(stored) });
    return rows.data.byteLength;
  }
  const data = convertStored(stored, dtype, elements, scratch, skipped);
  device.write(target, data, (firstElement + skipped) * data.BYTES_PER_ELEMENT);
  return data.byteLength;
}

/** Bytes of an element of a tensor of elements. */
function elementBytes({ name, dtype }: StoredTensor): number {
  if (isElementType(dtype)) return storedBytes[dtype];
  throw new RangeError(`${name} of ${dtype} has no elements`);
}

function checkFaults(uploads: readonly Upload[], faults: readonly number[]): void {
  const [first] = faults;
  if (first === undefined) return;
  const { stored, dtype } = uploads[first] as Upload;
  const fits = dtype === "f16" ? ", or that f16 does not hold; load as f32" : "";
  throw new CheckpointError(`holds a value that is not finite${fits}`, {
    file: stored.source.name,
    tensor: stored.name,
    found: stored.dtype,
  });
}

/** Whole rows as `quantize` takes them: as they are stored where it can. */
function rowsOf(
  stored: StoredTensor,
  bytes: Uint8Array,
  scratch: ArrayBuffer,
): { spec: TensorSpec; data: ArrayBufferView } {
  const width = rowWidth(stored);
  const rows = bytes.byteLength / elementBytes(stored) / width;
  const label = `${stored.name} as stored`;
  if (stored.dtype === "BF16" && width % 2 === 0)
    return { spec: { shape: [rows, width / 2], dtype: "u32", label }, data: bytes };
  if (stored.dtype === "F16") return { spec: { shape: [rows, width], dtype: "f16", label }, data: bytes };
  return {
    spec: { shape: [rows, width], dtype: "f32", label },
    data: convertStored(stored, "f32", bytes, scratch),
  };
}

/** `convert` with the tensor's name in the error. `firstIndex` is the index of the chunk's first element. */
export function convertStored(
  stored: StoredTensor,
  dtype: DType,
  bytes: Uint8Array,
  out: ArrayBuffer,
  firstIndex = 0,
): ReturnType<typeof convert> {
  try {
    return convert(stored.dtype as StoredDType, dtype, bytes, out);
  } catch (cause) {
    if (!(cause instanceof ConversionError)) throw cause;
    throw new CheckpointError(
      `element ${firstIndex + cause.index} does not fit ${dtype}${dtype === "f16" ? "; load as f32" : ""}`,
      { file: stored.source.name, tensor: stored.name, found: String(cause.value) },
      { cause },
    );
  }
}

const longest = (reads: readonly Read[]) => reads.reduce((n, r) => Math.max(n, r.end - r.begin), 0);

/** Room for the largest converted part: no target element has more than 4 bytes. */
function scratchBytes(reads: readonly Read[]): number {
  let most = 0;
  for (const { parts } of reads) {
    for (const { upload: u, begin, end } of parts) {
      if (isElementType(u.stored.dtype)) most = Math.max(most, ((end - begin) / elementBytes(u.stored)) * 4);
    }
  }
  return most;
}
