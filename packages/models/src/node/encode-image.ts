import { randomBytes } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import sharp from "sharp";
import { ImageError } from "../images/errors.ts";
import type { Pixels } from "../images/pixels.ts";

/**
 * Encodes a PNG of 8 bits: grey (1 channel), RGB (3) or RGBA (4).
 * @throws ImageError BAD_PIXELS for any other number of channels
 */
export async function encodePng(image: Pixels): Promise<Uint8Array> {
  const { width, height, channels, data } = image;
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    throw new ImageError("BAD_PIXELS", `a PNG has 1, 3 or 4 channels, found ${channels}`);
  }
  return await sharp(data, { raw: { width, height, channels }, limitInputPixels: false })
    .toColourspace(channels === 1 ? "b-w" : "srgb")
    .png({ palette: false })
    .toBuffer();
}

/**
 * Encodes RGB (3 channels) as a baseline JPEG with chroma at half the resolution. The same pixels and quality (1 to 100) give
 * the same bytes with the same libjpeg, which comes with sharp.
 * @throws ImageError BAD_PIXELS for any other number of channels
 */
export async function encodeJpeg(image: Pixels, { quality }: { quality: number }): Promise<Uint8Array> {
  const { width, height, channels, data } = image;
  if (channels !== 3) throw new ImageError("BAD_PIXELS", `a JPEG has 3 channels, found ${channels}`);
  return await sharp(data, { raw: { width, height, channels }, limitInputPixels: false })
    .jpeg({ quality, chromaSubsampling: "4:2:0", progressive: false, mozjpeg: false })
    .toBuffer();
}

/**
 * Writes a PNG under a temporary name beside `path` and renames it, so that `path` never holds half a picture.
 * @throws ImageError BAD_PIXELS, or WRITE naming the file
 */
export async function writePng(path: string, image: Pixels): Promise<void> {
  const bytes = await encodePng(image);
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    const reason = error instanceof Error ? error.message : String(error);
    throw new ImageError("WRITE", `${path}: the picture could not be written (${reason})`, { cause: error });
  }
}
