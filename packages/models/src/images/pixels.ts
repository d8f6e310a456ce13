import { ImageError } from "./errors.ts";

/** Height and width in pixels. */
export interface Size {
  readonly height: number;
  readonly width: number;
}

/** A host picture: uint8, row-major, channels last ([H, W, C]); C is 3 (RGB) or 1 (grey). */
export interface Pixels extends Size {
  readonly channels: number;
  readonly data: Uint8Array;
}

/**
 * Makes `Pixels` of `data` ([H, W, C], not copied).
 * @throws ImageError BAD_PIXELS when the sizes are not whole numbers >= 1 or do not match the length of `data`.
 */
export function pixels(height: number, width: number, channels: number, data: Uint8Array): Pixels {
  for (const [name, value] of Object.entries({ height, width, channels })) {
    if (!Number.isSafeInteger(value) || value < 1) {
      throw new ImageError("BAD_PIXELS", `${name} of a picture must be a whole number >= 1, found ${value}`);
    }
  }
  if (data.length !== height * width * channels) {
    throw new ImageError(
      "BAD_PIXELS",
      `a ${width}x${height} picture of ${channels} channels needs ${height * width * channels} bytes, found ${data.length}`,
    );
  }
  return { height, width, channels, data };
}

/** The most pixels that a picture may have unless the caller says otherwise: where Pillow raises DecompressionBombError. */
export const DEFAULT_MAX_PIXELS = 178_956_970;
