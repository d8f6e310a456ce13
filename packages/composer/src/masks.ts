import { type Geometry, pointToOriginal, type Size } from "@mask-llava/models";
import type { Grid } from "./visual-tokens.ts";

/** A binary mask at a picture's size: 1 inside, row-major. */
export interface Mask extends Size {
  readonly data: Uint8Array;
}

export function maskArea({ data }: Mask): number {
  let area = 0;
  for (const v of data) area += v;
  return area;
}

/** Intersection over union; 0 where both are empty. */
export function maskIou(a: Mask, b: Mask): number {
  let both = 0;
  let either = 0;
  for (let i = 0; i < a.data.length; i++) {
    const x = a.data[i] as number;
    const y = b.data[i] as number;
    both += x & y;
    either += x | y;
  }
  return either ? both / either : 0;
}

/** What lies in a box (x0, y0, x1, y1), by pixel centres: the mask of an object that was not segmented. */
export function boxMask(
  [x0, y0, x1, y1]: readonly [number, number, number, number],
  { width, height }: Size,
): Mask {
  const data = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    if (y + 0.5 < y0 || y + 0.5 >= y1) continue;
    for (let x = 0; x < width; x++) if (x + 0.5 >= x0 && x + 0.5 < x1) data[y * width + x] = 1;
  }
  return { width, height, data };
}

/** What no mask covers. */
export function backgroundMask(masks: readonly Mask[], { width, height }: Size): Mask {
  const data = new Uint8Array(width * height).fill(1);
  for (const mask of masks) for (let i = 0; i < data.length; i++) if (mask.data[i]) data[i] = 0;
  return { width, height, data };
}

/** Which masks stay. */
export interface Distinctness {
  /** Least share of the picture. */
  readonly minArea: number;
  /** Most overlap (intersection over union) with an earlier one that stays. */
  readonly iou: number;
  /** Most masks. */
  readonly most: number;
}

/** Decides of one mask after the other whether it stays; holds on to those that do, and to no others. */
export function distinctFilter({ minArea, iou, most }: Distinctness): (mask: Mask) => boolean {
  const kept: Mask[] = [];
  return (mask) => {
    if (kept.length >= most) return false;
    const area = maskArea(mask);
    if (area === 0 || area < minArea * mask.width * mask.height) return false;
    const stays = kept.every((earlier) => maskIou(earlier, mask) <= iou);
    if (stays) kept.push(mask);
    return stays;
  };
}

/** The indices of the masks that stay. */
export function distinctMasks(masks: readonly Mask[], options: Distinctness): number[] {
  const stays = distinctFilter(options);
  return masks.flatMap((mask, i) => (stays(mask) ? [i] : []));
}

/**
 * A mask reduced so that neither side exceeds `longest`: coverage of each cell, 0 to 1. What MaskInversion compares its maps
 * with needs no more detail than a few cells a patch, and a photograph has megapixels.
 */
export function coverage(mask: Mask, longest: number): Size & { readonly data: Float32Array } {
  const factor = Math.max(1, Math.ceil(Math.max(mask.width, mask.height) / longest));
  const width = Math.ceil(mask.width / factor);
  const height = Math.ceil(mask.height / factor);
  const data = new Float32Array(width * height);
  const cells = new Uint32Array(width * height);
  for (let y = 0; y < mask.height; y++) {
    const row = Math.floor(y / factor) * width;
    for (let x = 0; x < mask.width; x++) {
      const cell = row + Math.floor(x / factor);
      data[cell] = (data[cell] as number) + (mask.data[y * mask.width + x] as number);
      cells[cell] = (cells[cell] as number) + 1;
    }
  }
  return { width, height, data: data.map((v, i) => v / (cells[i] as number)) };
}

/** Samples a side of a patch when its coverage by a mask is measured. */
const samples = 4;

/**
 * Share of each patch of a vision tower's input that a mask covers; what the processor cut off or padded counts as outside.
 * @returns [rows · columns]
 */
export function patchCoverage(mask: Mask, geometry: Geometry, grid: Grid, patch: number): Float32Array {
  const out = new Float32Array(grid.rows * grid.columns);
  const step = patch / samples;
  out.forEach((_, token) => {
    const row = Math.floor(token / grid.columns);
    const column = token % grid.columns;
    let inside = 0;
    for (let s = 0; s < samples * samples; s++) {
      const px = column * patch + ((s % samples) + 0.5) * step;
      const py = row * patch + (Math.floor(s / samples) + 0.5) * step;
      const [x, y] = pointToOriginal(geometry, px, py);
      const ix = Math.floor(x);
      const iy = Math.floor(y);
      if (ix >= 0 && iy >= 0 && ix < mask.width && iy < mask.height)
        inside += mask.data[iy * mask.width + ix] as number;
    }
    out[token] = inside / samples ** 2;
  });
  return out;
}
