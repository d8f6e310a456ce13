import type { Capabilities } from "./capabilities.ts";
import { KernelError } from "./errors.ts";
import type { TensorBytes, TensorWindow } from "./kernel.ts";
import { isQuantized, type QuantizedPlane, quantizedLayout } from "./quantized.ts";
import { bytesPerElement, formatSpec, sizeOf, type Tensor } from "./tensor.ts";

/** A tensor seen as rows of `width` elements, for walking it in windows. */
export interface Rows {
  readonly tensor: Tensor;
  readonly width: number;
}

/** A plane of a quantised tensor seen as rows, which may be several of the tensor's own. */
export interface PlaneRows {
  readonly tensor: Tensor;
  /** Bytes from the tensor's start. */
  readonly offset: number;
  readonly rowBytes: number;
}

/** Both planes of a quantised tensor as rows of `each` of its own rows. */
export function planeRows(
  tensor: Tensor,
  each = 1,
): { readonly quants: PlaneRows; readonly scales: PlaneRows } {
  if (!isQuantized(tensor.dtype)) throw new KernelError(`${formatSpec(tensor)} is not quantised`);
  const { quants, scales } = quantizedLayout(tensor.shape, tensor.dtype);
  const rows = ({ offset, rowBytes }: QuantizedPlane) => ({ tensor, offset, rowBytes: each * rowBytes });
  return { quants: rows(quants), scales: rows(scales) };
}

function bytesOfRow(part: Rows | PlaneRows): number {
  return "rowBytes" in part ? part.rowBytes : part.width * bytesPerElement(part.tensor.dtype);
}

export interface RowWindow {
  readonly start: number;
  readonly count: number;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/**
 * Cuts `rows` rows so that no window of any of `parts` exceeds the device's binding limit and every window starts at an
 * aligned byte. One window where everything fits, which is nearly always.
 */
export function rowWindows(
  rows: number,
  parts: readonly (Rows | PlaneRows)[],
  caps: Capabilities,
): RowWindow[] {
  const limit = caps.limits.maxStorageBufferBindingSize;
  if (parts.every(({ tensor }) => tensor.storage.bytes <= limit)) return [{ start: 0, count: rows }];
  const windows = byteWindows(rows, parts.map(bytesOfRow), caps);
  if (windows) return windows;
  const names = [...new Set(parts.map(({ tensor }) => tensor))].map(formatSpec).join(", ");
  throw new KernelError(`no window of whole rows of ${names} fits a binding of ${limit} bytes`);
}

/**
 * `rowWindows` by the bytes of a row of each part, with at most `limitRows` rows a window; undefined where no whole rows
 * fit.
 */
export function byteWindows(
  rows: number,
  rowBytes: readonly number[],
  caps: Capabilities,
  limitRows = rows,
): RowWindow[] | undefined {
  const { maxStorageBufferBindingSize: limit, minStorageBufferOffsetAlignment: align } = caps.limits;
  if (limitRows >= rows && rowBytes.every((bytes) => Math.ceil((rows * bytes) / 16) * 16 <= limit))
    return [{ start: 0, count: rows }];
  let step = 1;
  let most = limitRows;
  for (const bytes of rowBytes) {
    const period = align / gcd(align, bytes);
    step = (step * period) / gcd(step, period);
    // 16 bytes less, as a window is bound in whole vec4s
    most = Math.min(most, Math.floor((limit - 16) / bytes));
  }
  const count = Math.floor(most / step) * step;
  if (count < 1) return undefined;
  const windows: RowWindow[] = [];
  for (let start = 0; start < rows; start += count)
    windows.push({ start, count: Math.min(count, rows - start) });
  return windows;
}

/** The part of `part` that a row window covers. */
export function rowsOf(part: Rows, window: RowWindow): TensorWindow;
export function rowsOf(part: PlaneRows, window: RowWindow): TensorBytes;
export function rowsOf(part: Rows | PlaneRows, window: RowWindow): TensorWindow | TensorBytes;
export function rowsOf(part: Rows | PlaneRows, { start, count }: RowWindow): TensorWindow | TensorBytes {
  const { tensor } = part;
  if ("width" in part) return { tensor, start: start * part.width, length: count * part.width };
  return { tensor, offset: part.offset + start * part.rowBytes, bytes: count * part.rowBytes };
}

/** Rows of a quantised tensor: the parts of its two planes. */
export interface QuantizedRows extends RowWindow {
  readonly quants: TensorBytes;
  readonly scales: TensorBytes;
}

/** `rowWindows` of a quantised tensor [.., K], whose planes are bound apart, and of others with as many rows. */
export function quantizedWindows(
  tensor: Tensor,
  caps: Capabilities,
  others: readonly Rows[] = [],
): QuantizedRows[] {
  const { quants, scales } = planeRows(tensor);
  const rows = sizeOf(tensor.shape.slice(0, -1));
  return rowWindows(rows, [quants, scales, ...others], caps).map((window) => ({
    ...window,
    quants: rowsOf(quants, window),
    scales: rowsOf(scales, window),
  }));
}
