import { outlines, sinCos } from "./outlines.ts";
import type { ShapeName } from "./world.ts";

/** Where an object lies, in pixels. */
export interface Placement {
  readonly shape: ShapeName;
  readonly x: number;
  readonly y: number;
  /** What the outline's unit is. */
  readonly radius: number;
  /** Degrees, clockwise as seen. */
  readonly rotation: number;
}

/** How much of each pixel an object covers, in a window of the picture. */
export interface Coverage {
  /** Window: columns x0 to x1 - 1, rows y0 to y1 - 1. */
  readonly x0: number;
  readonly y0: number;
  readonly x1: number;
  readonly y1: number;
  /** Covered samples of each pixel of the window, row-major, 0 to `samples`. */
  readonly counts: Uint8Array;
}

const across = 4;
/** Samples a pixel, on a regular grid. */
export const samples = across * across;

/** Distance from an object's middle to its farthest point. */
export function reachOf(shape: ShapeName, radius: number): number {
  return outlines[shape].reach * radius;
}

/** Rasterises an object into a square picture of side `size`. */
export function cover({ shape, x, y, radius, rotation }: Placement, size: number): Coverage {
  const outline = outlines[shape];
  const reach = reachOf(shape, radius);
  const { sin, cos } = sinCos((rotation * Math.PI) / 180);
  const low = (middle: number) => Math.max(0, Math.floor(middle - reach));
  const high = (middle: number) => Math.min(size, Math.ceil(middle + reach));
  const [x0, y0, x1, y1] = [low(x), low(y), high(x), high(y)];
  const counts = new Uint8Array((x1 - x0) * (y1 - y0));
  for (let row = y0, at = 0; row < y1; row++) {
    for (let column = x0; column < x1; column++, at++) {
      let count = 0;
      for (let sample = 0; sample < samples; sample++) {
        const dx = (column + ((sample % across) + 0.5) / across - x) / radius;
        const dy = (row + (Math.floor(sample / across) + 0.5) / across - y) / radius;
        if (outline.contains(cos * dx + sin * dy, cos * dy - sin * dx)) count++;
      }
      counts[at] = count;
    }
  }
  return { x0, y0, x1, y1, counts };
}

/** The pixels that are at least half covered, as 0 and 1, of a square picture of side `size`. */
export function fullMask({ x0, y0, x1, y1, counts }: Coverage, size: number): Uint8Array {
  const mask = new Uint8Array(size * size);
  const width = x1 - x0;
  for (let y = y0; y < y1; y++) {
    for (let x = x0; x < x1; x++) {
      if ((counts[(y - y0) * width + x - x0] as number) * 2 >= samples) mask[y * size + x] = 1;
    }
  }
  return mask;
}
