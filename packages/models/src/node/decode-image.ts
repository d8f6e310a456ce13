import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { cmykToRgb, rgbToGrey, samplesToRgb } from "../images/convert.ts";
import { ImageError } from "../images/errors.ts";
import { decodeGif } from "../images/gif.ts";
import { DEFAULT_MAX_PIXELS, type Pixels, type Size } from "../images/pixels.ts";

export interface DecodeOptions {
  /** A picture whose header says that it has more pixels is refused before it is decoded. Default 178,956,970. */
  readonly maxPixels?: number;
  /** What to call bytes in messages. */
  readonly name?: string;
}

type Format = "JPEG" | "PNG" | "GIF" | "WebP" | "TIFF" | "AVIF";

/**
 * Decodes a picture to RGB exactly as `PIL.Image.open(f).convert("RGB")` does: the EXIF orientation and colour profiles
 * are ignored, alpha is dropped and not blended, 16-bit grey is clipped to 255 (other 16-bit pictures keep their high
 * bytes), CMYK is inverted by formula, of an animation the first frame is taken. Equal to Pillow 13 for JPEG, PNG, GIF,
 * WebP and TIFF; AVIF is read, but its decoders differ in how they interpolate colour.
 *
 * @param source a path, a file URL, or the bytes of a file
 * @returns [H, W, 3]
 * @throws ImageError NOT_FOUND, EMPTY, NOT_AN_IMAGE, TRUNCATED, CORRUPT, TOO_LARGE or UNSUPPORTED, naming the file
 */
export async function decodeImage(
  source: string | URL | Uint8Array,
  options: DecodeOptions = {},
): Promise<Pixels> {
  const { maxPixels = DEFAULT_MAX_PIXELS } = options;
  const name = options.name ?? (source instanceof Uint8Array ? "image" : pathOf(source));
  const bytes = source instanceof Uint8Array ? source : await read(pathOf(source));
  if (bytes.length === 0) throw new ImageError("EMPTY", `${name}: the file is empty, expected a picture`);
  const format = formatOf(bytes);
  if (!format) {
    throw new ImageError(
      "NOT_AN_IMAGE",
      `${name}: not a picture that can be read: it starts with ${preview(bytes)}, expected JPEG, PNG, GIF, WebP, TIFF or AVIF`,
    );
  }
  if (format === "GIF") return decodeGif(bytes, name, maxPixels);
  try {
    return await decodeWithSharp(bytes, format, name, maxPixels);
  } catch (error) {
    if (error instanceof ImageError) throw error;
    throw decodeError(error, bytes, format, name);
  }
}

/** Decodes to grey as `PIL.Image.open(f).convert("L")` does. @returns [H, W, 1] */
export async function decodeGrey(
  source: string | URL | Uint8Array,
  options: DecodeOptions = {},
): Promise<Pixels> {
  return rgbToGrey(await decodeImage(source, options));
}

/** A soft or binary mask: [H, W], 0 outside and 1 inside. */
export interface Mask extends Size {
  readonly data: Float32Array;
}

/** Reads a mask picture at its own size: its grey value / 255. Colour is turned to grey, alpha is ignored. */
export async function readMask(
  source: string | URL | Uint8Array,
  options: DecodeOptions = {},
): Promise<Mask> {
  const { height, width, data } = await decodeGrey(source, options);
  return { height, width, data: Float32Array.from(data, (value) => value / 255) };
}

function pathOf(source: string | URL): string {
  return source instanceof URL ? fileURLToPath(source) : source;
}

async function read(path: string): Promise<Uint8Array> {
  try {
    // Not left to the decoder, which caches files by name and would miss that one has changed.
    return await readFile(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    const found =
      code === "ENOENT"
        ? "no such file"
        : code === "EISDIR"
          ? "a folder"
          : code === "EACCES"
            ? "a file that may not be read"
            : String(error);
    throw new ImageError("NOT_FOUND", `${path}: ${found}, expected a picture file`, { cause: error });
  }
}

function formatOf(bytes: Uint8Array): Format | undefined {
  const text = (from: number, to: number) => String.fromCharCode(...bytes.subarray(from, to));
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff) return "JPEG";
  if (text(0, 8) === "\x89PNG\r\n\x1a\n") return "PNG";
  if (text(0, 6) === "GIF87a" || text(0, 6) === "GIF89a") return "GIF";
  if (text(0, 4) === "RIFF" && text(8, 12) === "WEBP") return "WebP";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].includes(text(0, 4))) return "TIFF";
  if (text(4, 8) === "ftyp" && ["avif", "avis"].includes(text(8, 12))) return "AVIF";
  return undefined;
}

function preview(bytes: Uint8Array): string {
  const head = bytes.subarray(0, 12);
  if (head.every((byte) => byte >= 0x20 && byte < 0x7f)) return JSON.stringify(String.fromCharCode(...head));
  return `the bytes ${Array.from(head, (byte) => byte.toString(16).padStart(2, "0")).join(" ")}`;
}

async function decodeWithSharp(
  bytes: Uint8Array,
  format: Format,
  name: string,
  maxPixels: number,
): Promise<Pixels> {
  // Reads the header only. The limit is checked below, so that the message is ours.
  const { width, height, space, depth, channels } = await sharp(bytes, {
    limitInputPixels: false,
  }).metadata();
  if (width * height > maxPixels) {
    throw new ImageError(
      "TOO_LARGE",
      `${name}: ${format} of ${width}x${height} = ${width * height} pixels, expected at most ${maxPixels}`,
    );
  }
  const cmyk = space === "cmyk";
  const wide = depth === "ushort";
  const known = ["srgb", "rgb", "b-w", "rgb16", "grey16", "cmyk"].includes(space);
  if (!known || !["uchar", "ushort", "int", "float"].includes(depth) || (cmyk && depth !== "uchar")) {
    throw new ImageError(
      "UNSUPPORTED",
      `${name}: ${format} of ${depth} samples in colour space ${space}, expected 8 or 16 bits of grey, RGB or 8 of CMYK`,
    );
  }
  const grey = channels < 3;
  // The space that the samples are in already: nothing may be converted on the way.
  const native = cmyk ? "cmyk" : wide ? (grey ? "grey16" : "rgb16") : grey ? "b-w" : "srgb";
  const { data, info } = await sharp(bytes, {
    ignoreIcc: true,
    autoOrient: false,
    limitInputPixels: false,
    // Pillow bears with faulty JPEG data but not with missing data; libtiff reports missing data as an error.
    failOn: format === "TIFF" ? "error" : "truncated",
  })
    .pipelineColourspace(native)
    .toColourspace(native)
    .raw({ depth: wide ? "ushort" : "uchar" })
    .toBuffer({ resolveWithObject: true });
  const samples = {
    height: info.height,
    width: info.width,
    channels: info.channels,
    data: wide
      ? new Uint16Array(data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength))
      : data,
  };
  if (cmyk) return cmykToRgb(samples);
  // A grey PNG with a transparent level comes with an alpha channel, but is one of grey (colour type 0) still.
  const clipped = grey && (channels === 1 || (format === "PNG" && bytes[25] === 0));
  return samplesToRgb(samples, clipped ? "clip" : "high-byte");
}

function decodeError(error: unknown, bytes: Uint8Array, format: Format, name: string): ImageError {
  const problem = error instanceof Error ? error.message : String(error);
  const line = problem.split("\n")[0]!;
  return isCutShort(bytes, format, problem)
    ? new ImageError("TRUNCATED", `${name}: the ${format} is cut short at ${bytes.length} bytes (${line})`, {
        cause: error,
      })
    : new ImageError("CORRUPT", `${name}: the ${format} is damaged (${line})`, { cause: error });
}

/** Tells missing bytes from wrong ones, in a file that could not be decoded. */
function isCutShort(bytes: Uint8Array, format: Format, problem: string): boolean {
  if (/premature end|read error at|end of file|bad seek/i.test(problem)) return true;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  switch (format) {
    case "PNG":
      return !Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).includes("IEND");
    case "WebP":
      return view.getUint32(4, true) + 8 > bytes.length;
    case "TIFF": {
      // Its directory often comes last.
      if (bytes.length < 8) return true;
      const little = bytes[0] === 0x49;
      const directory = view.getUint32(4, little);
      if (directory + 2 > bytes.length) return true;
      return directory + 2 + 12 * view.getUint16(directory, little) > bytes.length;
    }
    default:
      return false;
  }
}
