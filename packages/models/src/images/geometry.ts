import type { Size } from "./pixels.ts";
import type { Rect } from "./resize.ts";

/**
 * How a processor moved a picture into its output: padded to a square (or not), resized, then cropped or padded. A
 * position x of the original is (x + padded.left) · resized.width / padded.width - origin.left in the output; the same
 * for y. Positions are edges, not pixel centres: pixel i covers [i, i + 1].
 */
export interface Geometry {
  /** The picture as it was decoded. */
  readonly original: Size;
  /** The canvas that was resized, and where the original lies on it; equal to the original where nothing was padded. */
  readonly padded: Rect;
  readonly resized: Size;
  /** The output's top left corner on the resized picture; negative where the output was padded there. */
  readonly origin: { readonly left: number; readonly top: number };
  /** Height and width of `pixel_values`. */
  readonly output: Size;
}

/** A box in pixels: [x0, y0, x1, y1]. */
export type Box = readonly [number, number, number, number];

/** Maps a position on the original picture to the processor's output. */
export function pointToOutput(g: Geometry, x: number, y: number): [number, number] {
  // The ratio first: so does the reference (SamProcessor._normalize_coordinates).
  return [
    (x + g.padded.left) * (g.resized.width / g.padded.width) - g.origin.left,
    (y + g.padded.top) * (g.resized.height / g.padded.height) - g.origin.top,
  ];
}

/** Maps a position on the processor's output back to the original picture; it may lie outside where there is padding. */
export function pointToOriginal(g: Geometry, x: number, y: number): [number, number] {
  return [
    (x + g.origin.left) * (g.padded.width / g.resized.width) - g.padded.left,
    (y + g.origin.top) * (g.padded.height / g.resized.height) - g.padded.top,
  ];
}

/** Maps a box on the original picture to the processor's output. */
export function boxToOutput(g: Geometry, [x0, y0, x1, y1]: Box): Box {
  return [...pointToOutput(g, x0, y0), ...pointToOutput(g, x1, y1)];
}

/** Maps a box on the processor's output back to the original picture. */
export function boxToOriginal(g: Geometry, [x0, y0, x1, y1]: Box): Box {
  return [...pointToOriginal(g, x0, y0), ...pointToOriginal(g, x1, y1)];
}

/** The part of the output that shows the picture, in whole output pixels touched; the rest is padding. */
export function contentRect(g: Geometry): Rect {
  const [x0, y0] = pointToOutput(g, 0, 0);
  const [x1, y1] = pointToOutput(g, g.original.width, g.original.height);
  const left = Math.max(0, Math.floor(x0));
  const top = Math.max(0, Math.floor(y0));
  return {
    left,
    top,
    width: Math.min(g.output.width, Math.ceil(x1)) - left,
    height: Math.min(g.output.height, Math.ceil(y1)) - top,
  };
}
