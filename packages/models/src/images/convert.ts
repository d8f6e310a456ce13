import { type Pixels, pixels } from "./pixels.ts";

/** Decoded samples, channels last; what the channels are is told by the function that converts them. */
export interface Samples {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly data: Uint8Array | Uint16Array;
}

/** How a 16-bit sample becomes one of 8: its high byte, or clipped to 255 as Pillow does with mode I;16. */
export type Narrowing = "high-byte" | "clip";

/** Grey, grey + alpha, RGB or RGB + alpha to RGB; alpha is dropped, never blended (`PIL.Image.convert("RGB")`). */
export function samplesToRgb({ height, width, channels, data }: Samples, narrowing: Narrowing): Pixels {
  const out = new Uint8Array(height * width * 3);
  const grey = channels < 3;
  const wide = data instanceof Uint16Array;
  for (let p = 0, o = 0; p < height * width; p++) {
    for (let c = 0; c < 3; c++) {
      const v = data[p * channels + (grey ? 0 : c)]!;
      out[o++] = !wide ? v : narrowing === "clip" ? Math.min(v, 255) : v >> 8;
    }
  }
  return pixels(height, width, 3, out);
}

/** CMYK (0 = no ink) to RGB by Pillow's formula, no colour profile: (255 - K) - C·(255 - K)/255, rounded. */
export function cmykToRgb({ height, width, data }: Samples): Pixels {
  const out = new Uint8Array(height * width * 3);
  for (let p = 0, o = 0; p < height * width; p++) {
    const light = 255 - data[p * 4 + 3]!;
    for (let c = 0; c < 3; c++) {
      const t = data[p * 4 + c]! * light + 128;
      out[o++] = Math.max(0, light - (((t >> 8) + t) >> 8));
    }
  }
  return pixels(height, width, 3, out);
}

/** RGB to luma as `PIL.Image.convert("L")`: ITU-R 601-2 in 16-bit fixed point. A grey picture stays as it is. */
export function rgbToGrey(image: Pixels): Pixels {
  const { height, width, data } = image;
  const out = new Uint8Array(height * width);
  for (let p = 0; p < out.length; p++) {
    out[p] = (data[p * 3]! * 19595 + data[p * 3 + 1]! * 38470 + data[p * 3 + 2]! * 7471 + 0x8000) >> 16;
  }
  return pixels(height, width, 1, out);
}
