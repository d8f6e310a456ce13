import { type Pixels, pixels, Resample, resize, type Size } from "@mask-llava/models";
import type { Rgb } from "./colours.ts";
import type { Overlay } from "./svg.ts";

/** An RGB picture that is drawn on. */
export interface Canvas extends Pixels {
  readonly channels: 3;
}

/** A canvas of one colour. */
export function filledCanvas({ width, height }: Size, colour: Rgb): Canvas {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i += 3) data.set(colour, i);
  return { width, height, channels: 3, data };
}

/** A copy of a picture at another size; large ones are averaged, so that nothing flickers away. */
export function scaledPicture(picture: Pixels, { width, height }: Size): Canvas {
  const { data } = resize(picture, { width, height }, Resample.BICUBIC);
  return { width, height, channels: 3, data: data === picture.data ? data.slice() : data };
}

/** A map of 0 to 1 at another size. [H, W] */
export function scaledMap(
  map: Size & { readonly data: ArrayLike<number> },
  { width, height }: Size,
): Float32Array {
  const bytes = new Uint8Array(map.data.length);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = Math.round(255 * Math.min(Math.max(map.data[i] as number, 0), 1));
  }
  const scaled = resize(pixels(map.height, map.width, 1, bytes), { width, height }, Resample.BILINEAR);
  return Float32Array.from(scaled.data, (v) => v / 255);
}

/** The size of `picture` when it fills a frame on one side, and fits into it on the other. */
export function fitInto({ width, height }: Size, frame: Size): Size {
  const scale = Math.min(frame.width / width, frame.height / height);
  const side = (pixels: number, most: number) => Math.min(most, Math.max(1, Math.round(pixels * scale)));
  return { width: side(width, frame.width), height: side(height, frame.height) };
}

/** Copies `image` to a place on the canvas; what lies outside is left out. */
export function paste(canvas: Canvas, image: Canvas, left: number, top: number): void {
  for (let y = Math.max(0, -top); y < image.height && y + top < canvas.height; y++) {
    const from = Math.max(0, -left);
    const to = Math.min(image.width, canvas.width - left);
    if (to <= from) return;
    const row = image.data.subarray((y * image.width + from) * 3, (y * image.width + to) * 3);
    canvas.data.set(row, ((y + top) * canvas.width + left + from) * 3);
  }
}

/** Puts an overlay of the canvas' own size over it. */
export function blend(canvas: Canvas, overlay: Overlay): void {
  const { data } = canvas;
  for (let i = 0, o = 0; i < data.length; i += 3, o += 4) {
    const keep = 255 - (overlay.data[o + 3] as number);
    if (keep === 255) continue;
    for (let c = 0; c < 3; c++) {
      data[i + c] = (overlay.data[o + c] as number) + Math.round(((data[i + c] as number) * keep) / 255);
    }
  }
}

/** Mixes a colour into one pixel. */
export function mixPixel(data: Uint8Array, at: number, colour: Rgb, share: number): void {
  for (let c = 0; c < 3; c++) {
    const before = data[at + c] as number;
    data[at + c] = Math.round(before + ((colour[c] as number) - before) * share);
  }
}
