import { type Pixels, pixels, type Size } from "./pixels.ts";
import { crop, type Rect } from "./resize.ts";

/** Puts a picture on a canvas of one colour with its top left corner at (left, top), which may be outside; the rest is cut. */
export function place(
  image: Pixels,
  canvas: Size,
  at: { left: number; top: number },
  colour: readonly number[],
): Pixels {
  const { channels } = image;
  const left = Math.max(0, -at.left);
  const top = Math.max(0, -at.top);
  const x = Math.max(0, at.left);
  const y = Math.max(0, at.top);
  const width = Math.min(image.width - left, canvas.width - x);
  const height = Math.min(image.height - top, canvas.height - y);
  if (width === canvas.width && height === canvas.height) return crop(image, { left, top, width, height });
  const data = new Uint8Array(canvas.height * canvas.width * channels);
  if (colour.some((c) => c !== 0)) {
    data.set(colour);
    // Doubling: a loop over the bytes would cost more than the resize that follows.
    for (let done = channels; done < data.length; done *= 2) data.copyWithin(done, 0, done);
  }
  for (let row = 0; row < height; row++) {
    const from = ((top + row) * image.width + left) * channels;
    data.set(image.data.subarray(from, from + width * channels), ((y + row) * canvas.width + x) * channels);
  }
  return pixels(canvas.height, canvas.width, channels, data);
}

/** Where a picture lies on the square that LLaVA pads it to: centred, the odd pixel right or below. */
export function squareAround(image: Size): Rect {
  const side = Math.max(image.height, image.width);
  return {
    left: Math.floor((side - image.width) / 2),
    top: Math.floor((side - image.height) / 2),
    width: side,
    height: side,
  };
}
