import { ImageError } from "./errors.ts";
import { DEFAULT_MAX_PIXELS, type Pixels, pixels } from "./pixels.ts";

/**
 * Decodes the first frame of a GIF to RGB as Pillow does. It is decoded here because general decoders composite: they
 * make transparent pixels black, where Pillow keeps their palette colour, and leave the screen around a small frame
 * black, where Pillow fills it with the transparent (or first) colour.
 *
 * Format: GIF89a specification; behaviour: Pillow `GifImagePlugin.py`.
 * @param bytes the whole file
 * @param name for messages
 * @throws ImageError TRUNCATED, CORRUPT or TOO_LARGE
 */
export function decodeGif(bytes: Uint8Array, name: string, maxPixels: number = DEFAULT_MAX_PIXELS): Pixels {
  const reader = new GifReader(bytes, name);
  const frame = reader.firstFrame();
  const width = Math.max(frame.screenWidth, frame.left + frame.width);
  const height = Math.max(frame.screenHeight, frame.top + frame.height);
  if (width * height > maxPixels) {
    throw new ImageError(
      "TOO_LARGE",
      `${name}: ${width}x${height} GIF, expected at most ${maxPixels} pixels`,
    );
  }
  if (width * height === 0) throw new ImageError("CORRUPT", `${name}: GIF of ${width}x${height} pixels`);
  const indices = new Uint8Array(width * height).fill(frame.transparent ?? 0);
  const rows = frame.interlaced ? interlacedRows(frame.height) : undefined;
  const decoded = reader.lzw(frame.width * frame.height);
  for (let y = 0; y < frame.height; y++) {
    const row = decoded.subarray(y * frame.width, (y + 1) * frame.width);
    indices.set(row, (frame.top + (rows ? rows[y]! : y)) * width + frame.left);
  }
  const rgb = new Uint8Array(width * height * 3);
  for (let p = 0; p < indices.length; p++) {
    const index = indices[p]!;
    for (let c = 0; c < 3; c++) rgb[p * 3 + c] = frame.palette ? (frame.palette[index * 3 + c] ?? 0) : index;
  }
  return pixels(height, width, 3, rgb);
}

interface GifFrame {
  readonly screenWidth: number;
  readonly screenHeight: number;
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly interlaced: boolean;
  /** Up to 256 RGB triples; without one the indices are grey levels. */
  readonly palette: Uint8Array | undefined;
  readonly transparent: number | undefined;
}

function interlacedRows(height: number): number[] {
  const rows: number[] = [];
  for (const [first, step] of [
    [0, 8],
    [4, 8],
    [2, 4],
    [1, 2],
  ] as const) {
    for (let y = first; y < height; y += step) rows.push(y);
  }
  return rows;
}

class GifReader {
  private position = 0;
  private readonly bytes: Uint8Array;
  private readonly name: string;

  constructor(bytes: Uint8Array, name: string) {
    this.bytes = bytes;
    this.name = name;
  }

  private truncated(wanted: string): ImageError {
    return new ImageError(
      "TRUNCATED",
      `${this.name}: the GIF ends after ${this.bytes.length} bytes, expected ${wanted}`,
    );
  }

  private take(count: number, wanted: string): Uint8Array {
    if (this.position + count > this.bytes.length) throw this.truncated(wanted);
    this.position += count;
    return this.bytes.subarray(this.position - count, this.position);
  }

  private byte(wanted: string): number {
    return this.take(1, wanted)[0]!;
  }

  /** The next sub-block of data; empty at the end of a chain. */
  private subBlock(wanted: string): Uint8Array {
    return this.take(this.byte(wanted), wanted);
  }

  /** Reads up to and with the first frame's header; its LZW data come next. */
  firstFrame(): GifFrame {
    const header = this.take(13, "a header of 13 bytes");
    const u16 = (from: Uint8Array, at: number) => from[at]! | (from[at + 1]! << 8);
    const flags = header[10]!;
    const global = flags & 0x80 ? this.take(3 << ((flags & 7) + 1), "a global palette").slice() : undefined;
    let transparent: number | undefined;
    for (;;) {
      const kind = this.byte("a frame");
      if (kind === 0x3b) throw new ImageError("CORRUPT", `${this.name}: the GIF has no frame`);
      if (kind === 0x21) {
        const label = this.byte("an extension");
        for (let block = this.subBlock("an extension"), first = true; block.length > 0; first = false) {
          if (first && label === 0xf9 && block.length >= 4 && block[0]! & 1) transparent = block[3]!;
          block = this.subBlock("the end of an extension");
        }
      } else if (kind === 0x2c) {
        const frame = this.take(9, "a frame header");
        const local = frame[8]! & 0x80 ? this.take(3 << ((frame[8]! & 7) + 1), "a local palette") : undefined;
        return {
          screenWidth: u16(header, 6),
          screenHeight: u16(header, 8),
          left: u16(frame, 0),
          top: u16(frame, 2),
          width: u16(frame, 4),
          height: u16(frame, 6),
          interlaced: (frame[8]! & 0x40) !== 0,
          palette: local ?? global,
          transparent,
        };
      }
      // Anything else between blocks is skipped, as Pillow does.
    }
  }

  /** LZW-decodes `count` indices. */
  lzw(count: number): Uint8Array {
    const minimum = this.byte("LZW data");
    if (minimum < 1 || minimum > 8) {
      throw new ImageError("CORRUPT", `${this.name}: LZW code size ${minimum}, expected 1 to 8`);
    }
    const clear = 1 << minimum;
    const prefix = new Uint16Array(4096);
    const suffix = new Uint8Array(4096);
    const stack = new Uint8Array(4097);
    for (let i = 0; i < clear; i++) suffix[i] = i;
    const out = new Uint8Array(count);
    let length = 0;
    let size = minimum + 1;
    let next = clear + 2;
    let previous = -1;
    let first = 0;
    let bits = 0;
    let held = 0;
    while (length < count) {
      while (held < size) {
        bits |= this.lzwByte() << held;
        held += 8;
      }
      const code = bits & ((1 << size) - 1);
      bits >>= size;
      held -= size;
      if (code === clear) {
        size = minimum + 1;
        next = clear + 2;
        previous = -1;
        continue;
      }
      if (code === clear + 1) throw this.truncated("as many pixels as the frame has");
      if (code > next || (previous < 0 && code >= clear)) {
        throw new ImageError("CORRUPT", `${this.name}: LZW code ${code} where at most ${next} was expected`);
      }
      let depth = 0;
      let walk = code;
      if (code === next) {
        // The one code that is not in the table yet: the previous string and its own first symbol.
        stack[depth++] = first;
        walk = previous;
      }
      while (walk >= clear) {
        stack[depth++] = suffix[walk]!;
        walk = prefix[walk]!;
      }
      first = suffix[walk]!;
      stack[depth++] = first;
      while (depth > 0 && length < count) out[length++] = stack[--depth]!;
      if (previous >= 0 && next < 4096) {
        prefix[next] = previous;
        suffix[next] = first;
        next++;
        if (next === 1 << size && size < 12) size++;
      }
      previous = code;
    }
    return out;
  }

  private blockLeft = 0;

  private lzwByte(): number {
    if (this.blockLeft === 0) {
      this.blockLeft = this.byte("more LZW data");
      if (this.blockLeft === 0) throw this.truncated("more LZW data before the end of the frame");
    }
    this.blockLeft--;
    return this.byte("more LZW data");
  }
}
