import { ImageError } from "./errors.ts";
import { type Pixels, pixels, type Size } from "./pixels.ts";
import { type PassWeights, passWeights, Resample, type ResizeBackend } from "./resample-filters.ts";

/** A rectangle in pixels. */
export interface Rect extends Size {
  readonly left: number;
  readonly top: number;
}

export interface ResizeOptions {
  /** Default "pil". */
  readonly backend?: ResizeBackend;
  /** The part of the input that is resized: [left, top, right, bottom], fractions allowed. Default: all of it. */
  readonly box?: readonly [number, number, number, number];
  /** The part of the output that is computed, the same pixels as cropping afterwards. Default: all of it. */
  readonly window?: Rect;
}

/**
 * Resizes as `PIL.Image.resize` does, bit for bit: uint8 in fixed point, horizontally and then vertically, each pass
 * rounded and clipped to uint8, a pass that would change nothing left out. With `backend: "torchvision"` the same on
 * torchvision's arithmetic for uint8 tensors (differs by 1 of 255 in some pixels).
 *
 * Reference: Pillow `src/libImaging/Resample.c` and `Geometry.c` (nearest); PyTorch `UpSampleKernel.cpp`.
 * @returns [window.height, window.width, C]
 * @throws ImageError BAD_SIZE for sizes, a box or a window that cannot be.
 */
export function resize(image: Pixels, size: Size, resample: Resample, options: ResizeOptions = {}): Pixels {
  const { backend = "pil", window = { left: 0, top: 0, ...pick(size) } } = options;
  // Pillow keeps the box as C floats.
  const box = (options.box ?? [0, 0, image.width, image.height]).map(Math.fround) as [
    number,
    number,
    number,
    number,
  ];
  check(image, size, box, window);
  const [left, top, right, bottom] = box;
  const whole = left === 0 && top === 0 && right === image.width && bottom === image.height;
  if (resample === Resample.NEAREST) {
    if (backend !== "pil") {
      throw new ImageError("UNSUPPORTED", "nearest resampling is only defined for the 'pil' backend");
    }
    return nearest(image, size, box, window);
  }
  if (whole && size.width === image.width && size.height === image.height) return crop(image, window);

  const vertical =
    size.height === image.height && top === 0 && bottom === image.height
      ? undefined
      : passWeights(resample, backend, image.height, top, bottom, size.height, window.top, window.height);
  const horizontal =
    size.width === image.width && left === 0 && right === image.width
      ? undefined
      : passWeights(resample, backend, image.width, left, right, size.width, window.left, window.width);
  // Of the input, only what the window depends on.
  const columns = horizontal ? inputSpan(horizontal) : { from: window.left, length: window.width };
  const rows = vertical ? inputSpan(vertical) : { from: window.top, length: window.height };
  let part = crop(image, { left: columns.from, top: rows.from, width: columns.length, height: rows.length });
  const verticalFirst = backend === "pil" && isVerticalFirst(image, size);
  if (vertical && verticalFirst) part = resizeColumns(part, vertical, rows.from); // [window.height, columns, C]
  if (horizontal) part = resizeRows(part, horizontal, columns.from); // [.., window.width, C]
  if (vertical && !verticalFirst) part = resizeColumns(part, vertical, rows.from); // [window.height, window.width, C]
  return part;
}

/**
 * Pillow 13 starts with the vertical pass where the height loses more than twice the pixels that the width does (older
 * Pillow always starts with the horizontal one; as each pass rounds, the order shows in the last bit or so).
 */
function isVerticalFirst(image: Size, size: Size): boolean {
  return size.height < image.height && image.height - size.height > 2 * (image.width - size.width);
}

/** The input samples that a pass reads. */
function inputSpan({ starts, counts }: PassWeights): { from: number; length: number } {
  const last = starts.length - 1;
  const from = starts[0]!;
  return { from, length: starts[last]! + counts[last]! - from };
}

function pick({ height, width }: Size): Size {
  return { height, width };
}

function check(image: Size, size: Size, box: readonly number[], window: Rect): void {
  const name = `resizing ${image.width}x${image.height} to ${size.width}x${size.height}`;
  const whole = [size.width, size.height, window.left, window.top, window.width, window.height];
  if (!whole.every(Number.isSafeInteger) || size.width < 1 || size.height < 1) {
    throw new ImageError("BAD_SIZE", `${name}: width and height must be whole numbers >= 1`);
  }
  const [left, top, right, bottom] = box as [number, number, number, number];
  if (
    !(left >= 0 && top >= 0 && right <= image.width && bottom <= image.height && left < right && top < bottom)
  ) {
    throw new ImageError(
      "BAD_SIZE",
      `${name}: the box ${box.join(", ")} must lie inside the picture and not be empty`,
    );
  }
  if (
    window.left < 0 ||
    window.top < 0 ||
    window.width < 1 ||
    window.height < 1 ||
    window.left + window.width > size.width ||
    window.top + window.height > size.height
  ) {
    throw new ImageError(
      "BAD_SIZE",
      `${name}: the window ${window.width}x${window.height} at (${window.left}, ${window.top}) must lie inside the result`,
    );
  }
}

/** Copies a rectangle that lies inside the picture. */
export function crop(image: Pixels, rect: Rect): Pixels {
  const { channels } = image;
  if (rect.width === image.width && rect.height === image.height) return image;
  const data = new Uint8Array(rect.height * rect.width * channels);
  for (let y = 0; y < rect.height; y++) {
    const from = ((rect.top + y) * image.width + rect.left) * channels;
    data.set(image.data.subarray(from, from + rect.width * channels), y * rect.width * channels);
  }
  return pixels(rect.height, rect.width, channels, data);
}

function clip8(value: number): number {
  return value < 0 ? 0 : Math.min(value, 255);
}

/** The horizontal pass; `columnFrom` is the input column that the first column of `image` is. */
function resizeRows(image: Pixels, pass: PassWeights, columnFrom: number): Pixels {
  const { channels, data } = image;
  const { starts, counts, taps, weights, precision } = pass;
  const width = starts.length;
  const half = 1 << (precision - 1);
  const out = new Uint8Array(image.height * width * channels);
  let o = 0;
  for (let y = 0; y < image.height; y++) {
    const row = (y * image.width - columnFrom) * channels;
    for (let x = 0; x < width; x++) {
      const first = row + starts[x]! * channels;
      const w0 = x * taps;
      const w1 = w0 + counts[x]!;
      if (channels === 3) {
        // The case that matters, unrolled: it is the longest loop of preparing a picture.
        let r = half;
        let g = half;
        let b = half;
        for (let w = w0, i = first; w < w1; w++, i += 3) {
          const k = weights[w]!;
          r = (r + Math.imul(data[i]!, k)) | 0;
          g = (g + Math.imul(data[i + 1]!, k)) | 0;
          b = (b + Math.imul(data[i + 2]!, k)) | 0;
        }
        out[o++] = clip8(r >> precision);
        out[o++] = clip8(g >> precision);
        out[o++] = clip8(b >> precision);
        continue;
      }
      for (let c = 0; c < channels; c++) {
        let sum = half;
        for (let w = w0, i = first + c; w < w1; w++, i += channels)
          sum = (sum + Math.imul(data[i]!, weights[w]!)) | 0;
        out[o++] = clip8(sum >> precision);
      }
    }
  }
  return pixels(image.height, width, channels, out);
}

/** The vertical pass; `rowFrom` is the input row that the first row of `image` is. */
function resizeColumns(image: Pixels, pass: PassWeights, rowFrom: number): Pixels {
  const { data } = image;
  const { starts, counts, taps, weights, precision } = pass;
  const stride = image.width * image.channels;
  const height = starts.length;
  const out = new Uint8Array(height * stride);
  const sums = new Int32Array(stride);
  for (let y = 0; y < height; y++) {
    sums.fill(1 << (precision - 1));
    for (let k = 0; k < counts[y]!; k++) {
      const w = weights[y * taps + k]!;
      const row = (starts[y]! - rowFrom + k) * stride;
      for (let i = 0; i < stride; i++) sums[i] = (sums[i]! + Math.imul(data[row + i]!, w)) | 0;
    }
    for (let i = 0; i < stride; i++) out[y * stride + i] = clip8(sums[i]! >> precision);
  }
  return pixels(height, image.width, image.channels, out);
}

function nearest(
  image: Pixels,
  size: Size,
  box: readonly [number, number, number, number],
  window: Rect,
): Pixels {
  const [left, top, right, bottom] = box;
  const xs = nearestIndices(left, right, size.width, window.left, window.width);
  const ys = nearestIndices(top, bottom, size.height, window.top, window.height);
  const { channels, data } = image;
  const out = new Uint8Array(window.height * window.width * channels);
  let o = 0;
  for (const y of ys) {
    for (const x of xs) {
      const i = (y * image.width + x) * channels;
      for (let c = 0; c < channels; c++) out[o++] = data[i + c]!;
    }
  }
  return pixels(window.height, window.width, channels, out);
}

function nearestIndices(
  from: number,
  to: number,
  outputSize: number,
  first: number,
  count: number,
): Int32Array {
  const scale = Math.fround(to - from) / outputSize;
  const indices = new Int32Array(count);
  // Pillow adds the step up rather than multiplying, which rounds otherwise.
  let position = from + scale * 0.5;
  for (let i = 0; i < first + count; i++) {
    if (i >= first) indices[i - first] = Math.trunc(position);
    position += scale;
  }
  return indices;
}
