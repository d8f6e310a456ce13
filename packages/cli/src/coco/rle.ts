import type { Size } from "@mask-llava/models";

/** A binary mask, row-major: anything but 0 is inside. */
export interface BinaryMask extends Size {
  readonly data: ArrayLike<number>;
}

/** COCO's compressed run lengths, as pycocotools writes and reads them. */
export interface Rle {
  /** Height and width. */
  readonly size: readonly [number, number];
  readonly counts: string;
}

/** Run-length text that is none, or that does not fit its size. */
export class RleError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "RleError";
  }
}

/** Bits of a number that a character carries; a sixth says that more follow. */
const bits = 5;
const more = 1 << bits;
const sign = 1 << (bits - 1);
/** The character of 0. */
const base = 48;

/** Run lengths down the columns, the first of which counts what is outside (it may be 0). */
export function runLengths({ width, height, data }: BinaryMask): number[] {
  const counts: number[] = [];
  let inside = false;
  let run = 0;
  for (let x = 0; x < width; x++) {
    for (let y = 0, i = x; y < height; y++, i += width) {
      if ((data[i] !== 0) !== inside) {
        counts.push(run);
        run = 0;
        inside = !inside;
      }
      run++;
    }
  }
  counts.push(run);
  return counts;
}

/**
 * Encodes a mask. From the fourth run on, the difference to the run of the same kind before is written; numbers are in
 * two's complement, five bits a character, the lowest first (COCO API, `maskApi.c`, `rleToString`).
 */
export function encodeRle(mask: BinaryMask): Rle {
  const runs = runLengths(mask);
  let counts = "";
  for (const [i, run] of runs.entries()) {
    let value = i > 2 ? run - (runs[i - 2] as number) : run;
    for (;;) {
      const low = value & (more - 1);
      value >>= bits;
      const done = low & sign ? value === -1 : value === 0;
      counts += String.fromCharCode(base + (done ? low : low | more));
      if (done) break;
    }
  }
  return { size: [mask.height, mask.width], counts };
}

/**
 * Decodes to a row-major mask of 0 and 1.
 * @throws RleError where the text is not run lengths, or where they do not add up to the size
 */
export function decodeRle({
  size: [height, width],
  counts,
}: Rle): BinaryMask & { readonly data: Uint8Array } {
  const runs = parseRuns(counts);
  const pixels = height * width;
  const total = runs.reduce((sum, run) => sum + run, 0);
  if (total !== pixels) {
    throw new RleError(`runs of ${total} pixels, expected ${width}x${height} = ${pixels}`);
  }
  const data = new Uint8Array(pixels);
  let at = 0;
  for (const [i, run] of runs.entries()) {
    const end = at + run;
    if (i % 2) for (; at < end; at++) data[(at % height) * width + Math.floor(at / height)] = 1;
    at = end;
  }
  return { height, width, data };
}

function parseRuns(counts: string): number[] {
  const runs: number[] = [];
  let value = 0;
  let shift = 0;
  for (let at = 0; at < counts.length; at++) {
    const code = counts.charCodeAt(at) - base;
    if (!(code >= 0 && code < 2 * more)) {
      throw new RleError(`character ${at} of the runs is ${JSON.stringify(counts[at])}, expected 0 to o`);
    }
    // a run needs no more than 32 bits, and the last character of a number extends its sign
    if (shift > 30) throw new RleError(`the number at character ${at} of the runs is too long`);
    value |= (code & (more - 1)) << shift;
    shift += bits;
    if (code & more) continue;
    if (code & sign && shift < 32) value |= -1 << shift;
    const run = runs.length > 2 ? value + (runs[runs.length - 2] as number) : value;
    if (run < 0) throw new RleError(`run ${runs.length} has ${run} pixels`);
    runs.push(run);
    [value, shift] = [0, 0];
  }
  if (shift > 0) throw new RleError("the runs end within a number");
  return runs;
}
