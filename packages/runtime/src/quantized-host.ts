/**
 * Quantisation in plain loops: what the `quantize` kernel must give bit by bit, and how quantised tensors are read back.
 * Every product and sum below is one f32 operation, so that a GPU, which rounds those alike, cannot differ; quotients,
 * which it may round as it likes, are decided exactly.
 */
import { fromFloat16Bits, toFloat16Bits } from "./float16.ts";
import { type QuantizedDType, quantGroup, quantizedLayout } from "./quantized.ts";

/** The bits of the scale of a group that no f16 scale fits, or that is not finite: it shows as NaN, and never as a weight. */
export const noScale = 0x7e00;

/** `x / d` rounded to nearest, half away from zero. Exact: f64 holds a tie of an f32 and an f16 as such. */
function nearest(x: number, d: number): number {
  if (d === 0) return 0;
  const quotient = x / d;
  return Math.sign(quotient) * Math.floor(Math.abs(quotient) + 0.5);
}

const clamp = (q: number, low: number, high: number): number => Math.min(Math.max(q, low), high);

interface Group {
  /** Binary16 bits. */
  readonly scale: number;
  readonly minimum: number;
  /** As they are stored: of q8_0 signed, else 0 to 15. */
  readonly quants: readonly number[];
}

/** Scale, minimum and quants of one group of f32 values. */
function quantizeGroup(values: readonly number[], dtype: QuantizedDType): Group {
  const { scale, minimum } = scaleOf(values, dtype);
  const invalid = { scale: noScale, minimum: dtype === "q4_1" ? noScale : 0, quants: values.map(() => 0) };
  if (!values.every(Number.isFinite) || !Number.isFinite(scale) || !Number.isFinite(minimum)) return invalid;
  const bits = { scale: toFloat16Bits(scale), minimum: toFloat16Bits(minimum) };
  const d = fromFloat16Bits(bits.scale);
  const m = fromFloat16Bits(bits.minimum);
  if (!Number.isFinite(d) || !Number.isFinite(m)) return invalid;
  const quants = values.map((x) => {
    if (dtype === "q8_0") return clamp(nearest(x, d), -127, 127);
    if (dtype === "q4_0") return clamp(nearest(x, d), -8, 7) + 8;
    return clamp(nearest(Math.fround(x - m), d), 0, 15);
  });
  return { ...bits, quants };
}

/**
 * The f32 scale that makes the group's range fill that of the quants. In q4_0 the value furthest from zero (the first of
 * several) becomes -8, which the other side does not have.
 */
function scaleOf(values: readonly number[], dtype: QuantizedDType): { scale: number; minimum: number } {
  let furthest = 0;
  for (const x of values) if (Math.abs(x) > Math.abs(furthest)) furthest = x;
  if (dtype === "q8_0") return { scale: Math.fround(Math.abs(furthest) * Math.fround(1 / 127)), minimum: 0 };
  if (dtype === "q4_0") return { scale: furthest === 0 ? 0 : furthest * -0.125, minimum: 0 };
  const low = Math.min(...values) || 0; // no -0
  const range = Math.fround(Math.max(...values) - low);
  return { scale: Math.fround(range * Math.fround(1 / 15)), minimum: low };
}

/** The bytes of a quantised tensor of `shape` with these f32 values; see quantized.ts for the layout. */
export function quantizeHost(
  values: ArrayLike<number>,
  shape: readonly number[],
  dtype: QuantizedDType,
): Uint8Array<ArrayBuffer> {
  const { rows, width, groups, scales, bytes } = quantizedLayout(shape, dtype);
  const out = new Uint8Array(bytes);
  const halves = new Uint16Array(out.buffer);
  for (let row = 0; row < rows; row++) {
    for (let g = 0; g < groups; g++) {
      const group = Array.from({ length: quantGroup }, (_, i) => {
        const k = g * quantGroup + i;
        if (k >= width && dtype !== "q4_1") return 0;
        return Math.fround(values[row * width + Math.min(k, width - 1)] as number);
      });
      const { scale, minimum, quants } = quantizeGroup(group, dtype);
      const at = row * groups + g;
      if (dtype === "q8_0") {
        for (const [i, q] of quants.entries()) out[at * 32 + i] = q;
      } else {
        for (let j = 0; j < 16; j++)
          out[at * 16 + j] = (quants[j] as number) | ((quants[j + 16] as number) << 4);
      }
      const first = scales.offset / 2 + (dtype === "q4_1" ? 2 * at : at);
      halves[first] = scale;
      if (dtype === "q4_1") halves[first + 1] = minimum;
    }
  }
  return out;
}

/** The f32 values that the bytes of a quantised tensor stand for. */
export function dequantizeHost(
  bytes: Uint8Array<ArrayBuffer>,
  shape: readonly number[],
  dtype: QuantizedDType,
): Float32Array<ArrayBuffer> {
  const { rows, width, groups, scales } = quantizedLayout(shape, dtype);
  const signed = new Int8Array(bytes.buffer, bytes.byteOffset);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const half = (i: number) => fromFloat16Bits(view.getUint16(scales.offset + 2 * i, true));
  const out = new Float32Array(rows * width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) {
      const at = row * groups + Math.floor(k / quantGroup);
      const i = k % quantGroup;
      let value: number;
      if (dtype === "q8_0") {
        value = half(at) * (signed[at * 32 + i] as number);
      } else {
        const q = ((bytes[at * 16 + (i % 16)] as number) >> (i < 16 ? 0 : 4)) & 15;
        value = dtype === "q4_0" ? half(at) * (q - 8) : half(2 * at) * q + half(2 * at + 1);
      }
      out[row * width + k] = value;
    }
  }
  return out;
}
