import type { Capabilities } from "./capabilities.ts";
import { KernelError } from "./errors.ts";
import type { TensorBytes, TensorWindow } from "./kernel.ts";
import { isQuantized, type QuantizedPlane, quantizedLayout } from "./quantized.ts";
import { bytesPerElement, formatSpec, type Tensor } from "./tensor.ts";

/** A tensor seen as rows of `width` elements, for walking it in windows. */
export interface Rows {
  readonly tensor: Tensor;
  readonly width: number;
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
export function rowWindows(rows: number, parts: readonly Rows[], caps: Capabilities): RowWindow[] {
  const limit = caps.limits.maxStorageBufferBindingSize;
  if (parts.every(({ tensor }) => tensor.storage.bytes <= limit)) return [{ start: 0, count: rows }];
  const windows = byteWindows(
    rows,
    parts.map(({ tensor, width }) => width * bytesPerElement(tensor.dtype)),
    caps,
  );
  if (windows) return windows;
  const names = parts.map(({ tensor }) => formatSpec(tensor)).join(", ");
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
export function rowsOf({ tensor, width }: Rows, { start, count }: RowWindow): TensorWindow {
  return { tensor, start: start * width, length: count * width };
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
  if (!isQuantized(tensor.dtype)) throw new KernelError(`${formatSpec(tensor)} is not quantised`);
  const { rows, quants, scales } = quantizedLayout(tensor.shape, tensor.dtype);
  const beside = others.map((other) => other.width * bytesPerElement(other.tensor.dtype));
  const windows = byteWindows(rows, [quants.rowBytes, scales.rowBytes, ...beside], caps);
  if (!windows) {
    const limit = caps.limits.maxStorageBufferBindingSize;
    throw new KernelError(
      `no window of whole rows of ${formatSpec(tensor)} fits a binding of ${limit} bytes`,
    );
  }
  const part = ({ offset, rowBytes }: QuantizedPlane, w: RowWindow): TensorBytes => ({
    tensor,
    offset: offset + w.start * rowBytes,
    bytes: w.count * rowBytes,
  });
  return windows.map((w) => ({ ...w, quants: part(quants, w), scales: part(scales, w) }));
}
