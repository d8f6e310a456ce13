/** Element conversions from what files hold to what the GPU holds, on chunks of a tensor. */
import { type DType, decodeFloat16, toFloat16Bits } from "@mask-llava/runtime";
import type { StoredDType } from "./stored-tensor.ts";

/** A value that the target type cannot hold; the caller adds the tensor's name. */
export class ConversionError extends Error {
  /** Element index within the chunk. */
  readonly index: number;
  readonly value: number | bigint;
  constructor(index: number, value: number | bigint, target: string) {
    super(`${value} does not fit ${target}`);
    this.name = "ConversionError";
    this.index = index;
    this.value = value;
  }
}

type HostArray = Float32Array | Int32Array | Uint32Array | Uint16Array;
/** Converts the elements in `src` into `out` (large enough), or returns a view of `src` where nothing changes. */
type Converter = (src: Uint8Array, out: ArrayBuffer) => HostArray;

const converters: Partial<Record<`${StoredDType}:${DType}`, Converter>> = {
  "F32:f32": (src) => f32(src),
  "F16:f32": (src, out) => {
    const halves = u16(src);
    return decodeFloat16(halves, new Float32Array(out, 0, halves.length));
  },
  "BF16:f32": (src, out) => {
    const from = u16(src);
    const bits = new Uint32Array(out, 0, from.length);
    for (let i = 0; i < from.length; i++) bits[i] = (from[i] as number) << 16;
    return new Float32Array(out, 0, from.length);
  },
  "F64:f32": (src, out) => narrowF64(src, new Float32Array(out, 0, src.byteLength / 8)),
  "F16:f16": (src) => u16(src),
  "F32:f16": (src, out) => f32ToF16(f32(src), new Uint16Array(out, 0, src.byteLength / 4)),
  "BF16:f16": (src, out) => bf16ToF16(u16(src), new Uint16Array(out, 0, src.byteLength / 2)),
  // through f32: the double rounding moves at most one result in 2^29 by one unit in the last place
  "F64:f16": (src, out) => {
    const n = src.byteLength / 8;
    return f32ToF16(narrowF64(src, new Float32Array(n)), new Uint16Array(out, 0, n));
  },
  "I32:i32": (src) => i32(src),
  "U32:u32": (src) => new Uint32Array(...at(src, 4)),
  "I64:i32": (src, out) => narrowI64(src, new Int32Array(out, 0, src.byteLength / 8)),
  "U32:i32": (src, out) => {
    const from = new Uint32Array(...at(src, 4));
    const to = new Int32Array(out, 0, from.length);
    for (let i = 0; i < from.length; i++) {
      const v = from[i] as number;
      if (v > 0x7fffffff) throw new ConversionError(i, v, "i32");
      to[i] = v;
    }
    return to;
  },
  "I16:i32": (src, out) => widen(new Int16Array(...at(src, 2)), out),
  "U16:i32": (src, out) => widen(u16(src), out),
  "I8:i32": (src, out) => widen(new Int8Array(...at(src, 1)), out),
  "U8:i32": (src, out) => widen(src, out),
  "BOOL:i32": (src, out) => widen(src, out),
};

/** Whether `stored` elements can become `target` elements. Floats become floats and integers integers, nothing else. */
export function canConvert(stored: StoredDType, target: DType): boolean {
  return `${stored}:${target}` in converters;
}

/**
 * `src`, whole little-endian elements of type `stored`, as elements of `target`. The result may be a view of `src` or of
 * `out`. Values are rounded to nearest, ties to even. Throws ConversionError for a finite value that `target` cannot hold.
 */
export function convert(stored: StoredDType, target: DType, src: Uint8Array, out: ArrayBuffer): HostArray {
  const converter = converters[`${stored}:${target}`];
  if (!converter) throw new TypeError(`no conversion from ${stored} to ${target}`);
  return converter(src, out);
}

/** Constructor arguments of a typed array over `src`, which is copied where its offset is not aligned. */
function at(src: Uint8Array, bytes: number): [ArrayBuffer, number, number] {
  const aligned = src.byteOffset % bytes === 0 ? src : src.slice();
  return [aligned.buffer as ArrayBuffer, aligned.byteOffset, aligned.byteLength / bytes];
}

const u16 = (src: Uint8Array) => new Uint16Array(...at(src, 2));
const f32 = (src: Uint8Array) => new Float32Array(...at(src, 4));
const i32 = (src: Uint8Array) => new Int32Array(...at(src, 4));

function widen(from: ArrayLike<number>, out: ArrayBuffer): Int32Array {
  const to = new Int32Array(out, 0, from.length);
  for (let i = 0; i < from.length; i++) to[i] = from[i] as number;
  return to;
}

function f32ToF16(from: Float32Array, to: Uint16Array): Uint16Array {
  const bits = new Uint32Array(from.buffer, from.byteOffset, from.length);
  for (let i = 0; i < bits.length; i++) {
    const x = bits[i] as number;
    const magnitude = x & 0x7fffffff;
    if (magnitude >= 0x38800000 && magnitude < 0x477ff000) {
      // normal halves, inline as nearly all weights are: rebias the exponent, round the 13 dropped bits to even
      to[i] = ((x >>> 16) & 0x8000) | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
    } else {
      // 65520 and more would round to infinity
      if (magnitude >= 0x477ff000 && magnitude < 0x7f800000)
        throw new ConversionError(i, from[i] as number, "f16");
      to[i] = toFloat16Bits(from[i] as number);
    }
  }
  return to;
}

let halfOfBf16: Uint16Array | undefined;

/** The binary16 bits of each of the 65536 bfloat16 values; finite values that overflow stand as infinities. */
function bf16Table(): Uint16Array {
  if (halfOfBf16) return halfOfBf16;
  const bits = new Uint32Array(1);
  const value = new Float32Array(bits.buffer);
  halfOfBf16 = new Uint16Array(65536);
  for (let b = 0; b < 65536; b++) {
    bits[0] = b << 16;
    halfOfBf16[b] = toFloat16Bits(value[0] as number);
  }
  return halfOfBf16;
}

function bf16ToF16(from: Uint16Array, to: Uint16Array): Uint16Array {
  const table = bf16Table();
  for (let i = 0; i < from.length; i++) {
    const b = from[i] as number;
    const half = table[b] as number;
    if ((half & 0x7fff) === 0x7c00 && (b & 0x7fff) !== 0x7f80) {
      throw new ConversionError(i, new Float32Array(new Uint32Array([b << 16]).buffer)[0] as number, "f16");
    }
    to[i] = half;
  }
  return to;
}

function narrowF64(src: Uint8Array, to: Float32Array): Float32Array {
  const from = new Float64Array(...at(src, 8));
  for (let i = 0; i < from.length; i++) {
    const v = from[i] as number;
    to[i] = v;
    if (Number.isFinite(v) && !Number.isFinite(to[i])) throw new ConversionError(i, v, "f32");
  }
  return to;
}

function narrowI64(src: Uint8Array, to: Int32Array): Int32Array {
  const words = i32(src);
  for (let i = 0; i < to.length; i++) {
    const low = words[2 * i] as number;
    const high = words[2 * i + 1] as number;
    if (high !== low >> 31) throw new ConversionError(i, (BigInt(high) << 32n) | BigInt(low >>> 0), "i32");
    to[i] = low;
  }
  return to;
}
