/**
 * What the transformer needs to know of the feature maps' places and of the padding, computed on the host: it depends on
 * the picture's size and its mask alone. Arithmetic is in steps of f32 where the reference's is
 * (`DeformableDetrModel.forward`, `DeformableDetrSinePositionEmbedding`).
 */

const f = Math.fround;

/** A batch's sizes. */
export interface BatchShape {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
}

export interface DetrGeometry {
  /** Sine position embeddings of all levels, one after the other. [B, S, D] */
  readonly positions: Float32Array;
  /** 1 where a cell shows picture, 0 where padding. [B, S, 1] */
  readonly valid: Float32Array;
  /** Part of each level that shows picture, as (x, y). [B, L, 2] */
  readonly validRatios: Float32Array;
  /** The encoder's reference points (x, y): each cell's centre, as every level sees it. [B, S, L, 2] */
  readonly referencePoints: Float32Array;
}

/** One level's part of the pixel mask. */
interface LevelMask {
  readonly height: number;
  readonly width: number;
  /** [B, h, w] */
  readonly mask: Uint8Array;
  /** Rows and columns of picture, by the first column and the first row. [B] */
  readonly validHeight: readonly number[];
  readonly validWidth: readonly number[];
}

/** @param levels [height, width] of each level; @param pixelMask [B, H, W] of 0 and 1; @param width channels D */
export function detrGeometry(
  shape: BatchShape,
  levels: readonly (readonly [number, number])[],
  pixelMask: Uint8Array,
  width: number,
): DetrGeometry {
  const masks = levels.map(([h, w]) => levelMask(shape, pixelMask, h, w));
  const cells = levels.reduce((n, [h, w]) => n + h * w, 0);
  const { batch } = shape;
  const validRatios = Float32Array.from(
    Array.from({ length: batch }, (_, b) =>
      masks.flatMap((m) => [(m.validWidth[b] as number) / m.width, (m.validHeight[b] as number) / m.height]),
    ).flat(),
  );
  const positions = new Float32Array(batch * cells * width);
  const valid = new Float32Array(batch * cells);
  for (let b = 0; b < batch; b++) {
    let at = b * cells;
    for (const m of masks) {
      const size = m.height * m.width;
      valid.set(m.mask.subarray(b * size, (b + 1) * size), at);
      sinePositions(m, b, width, positions.subarray(at * width, (at + size) * width));
      at += size;
    }
  }
  return { positions, valid, validRatios, referencePoints: encoderReferences(batch, masks, validRatios) };
}

/** The mask at a level's size: nearest neighbour, as `interpolate` computes its source index in f32. */
function levelMask(
  { batch, height, width }: BatchShape,
  pixels: Uint8Array,
  h: number,
  w: number,
): LevelMask {
  const source = (i: number, from: number, to: number) => Math.min(Math.floor(f(i * f(from / to))), from - 1);
  const mask = new Uint8Array(batch * h * w);
  for (let b = 0; b < batch; b++) {
    for (let y = 0; y < h; y++) {
      const row = (b * height + source(y, height, h)) * width;
      for (let x = 0; x < w; x++) mask[(b * h + y) * w + x] = pixels[row + source(x, width, w)] as number;
    }
  }
  const ones = (b: number, count: number, step: number) =>
    Array.from({ length: count }, (_, i) => mask[b * h * w + i * step] as number).reduce((n, v) => n + v, 0);
  const images = Array.from({ length: batch }, (_, b) => b);
  return {
    height: h,
    width: w,
    mask,
    validHeight: images.map((b) => ones(b, h, w)),
    validWidth: images.map((b) => ones(b, w, 1)),
  };
}

const temperature = 10000;
const scale = f(2 * Math.PI);

/** 10000^(2 floor(j / 2) / half) for j below `half`, in f32. */
export function sinePeriods(half: number): Float32Array {
  return Float32Array.from({ length: half }, (_, j) => temperature ** f((2 * Math.floor(j / 2)) / half));
}

/** Half the channels of each cell for its row, half for its column: sine and cosine by turns. `out` [h · w, D] */
function sinePositions(
  { height: h, width: w, mask }: LevelMask,
  b: number,
  width: number,
  out: Float32Array,
): void {
  const half = width / 2;
  const periods = sinePeriods(half);
  const waves = new Map<number, Float32Array>(); // few places are distinct: a row or a column shares its own
  const wave = (place: number): Float32Array => {
    let known = waves.get(place);
    if (!known) {
      known = periods.map((period, j) => (j % 2 ? Math.cos : Math.sin)(f(place / period)));
      waves.set(place, known);
    }
    return known;
  };
  const at = (y: number, x: number) => mask[(b * h + y) * w + x] as number;
  // how many cells of picture lie in each column and row up to here, this one included, and in all
  const below = new Float32Array(h * w);
  const before = new Float32Array(h * w);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const i = y * w + x;
      below[i] = at(y, x) + (y ? (below[i - w] as number) : 0);
      before[i] = at(y, x) + (x ? (before[i - 1] as number) : 0);
    }
  }
  const place = (count: number, all: number) => f(f((count - 0.5) / f(all + 1e-6)) * scale);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const i = y * w + x;
      out.set(wave(place(below[i] as number, below[(h - 1) * w + x] as number)), i * width);
      out.set(wave(place(before[i] as number, before[y * w + w - 1] as number)), i * width + half);
    }
  }
}

/** Each cell's centre relative to the picture (not to the padding), times every level's valid ratio. */
function encoderReferences(batch: number, masks: readonly LevelMask[], ratios: Float32Array): Float32Array {
  const cells = masks.reduce((n, m) => n + m.height * m.width, 0);
  const levels = masks.length;
  const out = new Float32Array(batch * cells * levels * 2);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    const ratio = (level: number, axis: number) => ratios[(b * levels + level) * 2 + axis] as number;
    for (const [own, { height, width }] of masks.entries()) {
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const px = f((x + 0.5) / f(ratio(own, 0) * width));
          const py = f((y + 0.5) / f(ratio(own, 1) * height));
          for (let level = 0; level < levels; level++) {
            out[at++] = px * ratio(level, 0);
            out[at++] = py * ratio(level, 1);
          }
        }
      }
    }
  }
  return out;
}

/**
 * Places outside 0.01 to 0.99 are no proposals; the reference gives them infinite logits, which WGSL does not have. This
 * stands for them on the GPU: its sigmoid is 1, and no finite step changes it.
 */
export const noProposal = 1e30;

export interface Proposals {
  /** Logits of (cx, cy, w, h), `noProposal` where there is none. [B, S, 4] */
  readonly logits: Float32Array;
  /** 1 where a cell proposes, else 0. [B, S, 1] */
  readonly valid: Float32Array;
}

/** Boxes that the encoder's cells propose in a two-stage model: the cell's centre, of a size by its level. */
export function encoderProposals(
  shape: BatchShape,
  levels: readonly (readonly [number, number])[],
  pixelMask: Uint8Array,
): Proposals {
  const cells = levels.reduce((n, [h, w]) => n + h * w, 0);
  const logits = new Float32Array(shape.batch * cells * 4).fill(noProposal);
  const valid = new Float32Array(shape.batch * cells);
  const masks = levels.map(([h, w]) => levelMask(shape, pixelMask, h, w));
  const inside = (v: number) => v > f(0.01) && v < f(0.99);
  let cell = 0;
  for (let b = 0; b < shape.batch; b++) {
    for (const [level, { height, width, mask, validHeight, validWidth }] of masks.entries()) {
      const side = f(0.05 * 2 ** level);
      for (let i = 0; i < height * width; i++, cell++) {
        const cx = f(((i % width) + 0.5) / (validWidth[b] as number));
        const cy = f((Math.floor(i / width) + 0.5) / (validHeight[b] as number));
        const box = [cx, cy, side, side];
        if (!mask[b * height * width + i] || !box.every(inside)) continue;
        valid[cell] = 1;
        for (const [k, v] of box.entries()) logits[cell * 4 + k] = Math.log(v / (1 - v));
      }
    }
  }
  return { logits, valid };
}
