import type { Size } from "@mask-llava/models";
import { maskBox } from "../mask-shape.ts";
import { type Canvas, mixPixel, scaledMap } from "./canvas.ts";
import { heatColour, type Rgb } from "./colours.ts";

/** A map at any size: 0 outside, 1 inside, between for soft edges. */
export type MaskMap = Size & { readonly data: ArrayLike<number> };

export interface MaskStyle {
  readonly colour: Rgb;
  /** Opacity of the inside, 0 to 1. */
  readonly fill?: number;
  /** Width of the outline in pixels; 0: none. */
  readonly line?: number;
}

/** Tints what a mask covers and draws its outline. */
export function paintMask(
  canvas: Canvas,
  mask: MaskMap,
  { colour, fill = 0.42, line = 2.5 }: MaskStyle,
): void {
  const window = around(scaledMap(mask, canvas), canvas, Math.ceil(line) + 6);
  if (!window) return;
  const { left, top, width, height } = window;
  const smooth = binomial(binomial(window.values, window), window);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = ((y + top) * canvas.width + x + left) * 3;
      const inside = smooth[y * width + x] as number;
      if (fill > 0) mixPixel(canvas.data, at, colour, fill * inside);
      if (line <= 0) continue;
      // half a pixel more than half the line's width on both sides, so that its edge is soft; a dark seam sets it off
      const distance = edgeDistance(smooth, window, x, y);
      const seam = Math.min(Math.max(line / 2 + 1.5 - distance, 0), 1);
      if (seam > 0) mixPixel(canvas.data, at, [0, 0, 0], seam * 0.35);
      const opacity = Math.min(Math.max(line / 2 + 0.5 - distance, 0), 1);
      if (opacity > 0) mixPixel(canvas.data, at, colour, opacity);
    }
  }
}

/** The part of a map that is not 0, with a margin where the map goes on. */
function around(map: Float32Array, size: Size, margin: number) {
  const box = maskBox(map, size);
  if (!box) return undefined;
  const [x0, y0, x1, y1] = box;
  const [left, top] = [Math.max(0, x0 - margin), Math.max(0, y0 - margin)];
  const width = Math.min(size.width, x1 + margin) - left;
  const height = Math.min(size.height, y1 + margin) - top;
  const values = new Float32Array(width * height);
  for (let y = 0; y < height; y++) {
    const from = (y + top) * size.width + left;
    values.set(map.subarray(from, from + width), y * width);
  }
  return { left, top, width, height, values };
}

/** How far the outline lies from a pixel, to first order: |f - 1/2| / |∇f|. */
function edgeDistance(f: Float32Array, { width, height }: Size, x: number, y: number): number {
  const at = (px: number, py: number) =>
    f[Math.min(Math.max(py, 0), height - 1) * width + Math.min(Math.max(px, 0), width - 1)] as number;
  const dx = (at(x + 1, y) - at(x - 1, y)) / 2;
  const dy = (at(x, y + 1) - at(x, y - 1)) / 2;
  const slope = Math.hypot(dx, dy);
  // where the map is level there is no outline, whatever its value
  return slope < 0.01 ? Number.POSITIVE_INFINITY : Math.abs(at(x, y) - 0.5) / slope;
}

/** A binomial filter of 5 x 5: twice, it turns the steps of a binary mask into a slope. */
function binomial(map: Float32Array, { width, height }: Size): Float32Array {
  const pass = (input: Float32Array, step: number, position: (i: number) => number, length: number) => {
    const out = new Float32Array(input.length);
    for (let i = 0; i < input.length; i++) {
      const p = position(i);
      const near = (d: number) => input[i + (Math.min(Math.max(p + d, 0), length - 1) - p) * step] as number;
      out[i] = (near(-2) + 4 * near(-1) + 6 * near(0) + 4 * near(1) + near(2)) / 16;
    }
    return out;
  };
  const across = pass(map, 1, (i) => i % width, width);
  return pass(across, width, (i) => Math.floor(i / width), height);
}

/** Takes colour and light from a picture, so that what is painted on it stands out. */
export function fade(canvas: Canvas, options: { colour?: number; light?: number } = {}): void {
  const { colour = 0, light = 0.6 } = options;
  const { data } = canvas;
  for (let i = 0; i < data.length; i += 3) {
    const [r, g, b] = data.subarray(i, i + 3) as unknown as [number, number, number];
    const grey = 0.299 * r + 0.587 * g + 0.114 * b;
    data[i] = light * (grey + colour * (r - grey));
    data[i + 1] = light * (grey + colour * (g - grey));
    data[i + 2] = light * (grey + colour * (b - grey));
  }
}

/** Lays a map over a picture as heat: the picture stays visible where the map is low. */
export function paintHeat(canvas: Canvas, map: MaskMap): void {
  fade(canvas, { light: 0.62 });
  for (const [i, value] of scaledMap(map, canvas).entries()) {
    mixPixel(canvas.data, i * 3, heatColour(value), 0.3 + 0.6 * Math.min(Math.max(value, 0), 1));
  }
}

/** Darkens what a mask does not cover. */
export function spotlight(canvas: Canvas, mask: MaskMap): void {
  const inside = scaledMap(mask, canvas);
  const lit = canvas.data.slice();
  fade(canvas, { colour: 0.15, light: 0.28 });
  for (const [i, share] of inside.entries()) {
    mixPixel(canvas.data, i * 3, lit.subarray(i * 3, i * 3 + 3) as unknown as Rgb, share);
  }
}
