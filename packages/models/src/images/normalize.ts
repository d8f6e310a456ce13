import type { Pixels, Size } from "./pixels.ts";
import type { ResizeBackend } from "./resample-filters.ts";

export interface Normalization {
  /** Each value is multiplied by this; undefined leaves 0..255. */
  readonly rescaleFactor?: number;
  /** Then (value - mean) / std, per channel. */
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
}

/** All 256 results for one channel. In f32 steps as the reference takes them, so the results are equal bit for bit. */
function channelTable(n: Normalization, channel: number, backend: ResizeBackend): Float32Array {
  const f = Math.fround;
  const mean = n.mean && f(n.mean[channel]!);
  const std = n.std && f(n.std[channel]!);
  const table = new Float32Array(256);
  for (let value = 0; value < 256; value++) {
    let x = value;
    if (backend === "torchvision") {
      // The fused form: mean and std are scaled up to 0..255 instead of scaling the pixels down.
      const inverse = n.rescaleFactor === undefined ? 1 : f(1 / n.rescaleFactor);
      if (mean !== undefined && std !== undefined) x = f(x - f(mean * inverse)) / f(std * inverse);
      else if (n.rescaleFactor !== undefined) x = x * f(n.rescaleFactor);
    } else {
      if (n.rescaleFactor !== undefined) x = f(x * n.rescaleFactor);
      if (mean !== undefined && std !== undefined) x = f(x - mean) / std;
    }
    table[value] = x;
  }
  return table;
}

/**
 * Rescales and normalises a picture into channel-first f32, with its top left corner at (0, 0) of `output`, which may be
 * larger: the rest stays 0.
 * @returns [C, output.height, output.width]
 */
export function normalizePixels(
  image: Pixels,
  normalization: Normalization,
  backend: ResizeBackend,
  output: Size,
): Float32Array {
  const { channels, data } = image;
  const plane = output.height * output.width;
  const out = new Float32Array(channels * plane);
  for (let c = 0; c < channels; c++) {
    const table = channelTable(normalization, c, backend);
    for (let y = 0; y < image.height; y++) {
      let i = y * image.width * channels + c;
      const o = c * plane + y * output.width;
      for (let x = 0; x < image.width; x++, i += channels) out[o + x] = table[data[i]!]!;
    }
  }
  return out;
}
