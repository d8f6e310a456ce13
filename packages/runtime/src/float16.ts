/** IEEE 754 binary16 conversions on the host: Node 20 has no Float16Array. */

const scratch = new Float32Array(1);
const bits = new Uint32Array(scratch.buffer);

/** Bits of the binary16 nearest to `value` (ties to even); overflow gives an infinity, as hardware conversion does. */
export function toFloat16Bits(value: number): number {
  scratch[0] = value;
  const x = bits[0] as number;
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude >= 0x7f800000) return sign | (magnitude > 0x7f800000 ? 0x7e00 : 0x7c00);
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // subnormal halves: adding 0.5 lets the f32 unit round to a multiple of 2^-24
    scratch[0] = Math.fround(Math.abs(value) + 0.5);
    return sign | ((bits[0] as number) - 0x3f000000);
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

let table: Float32Array | undefined;

function decodeTable(): Float32Array {
  if (table) return table;
  table = new Float32Array(65536);
  for (let h = 0; h < 65536; h++) {
    const sign = h & 0x8000 ? -1 : 1;
    const exponent = (h >>> 10) & 31;
    const fraction = h & 1023;
    if (exponent === 31) table[h] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else table[h] = sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
  }
  return table;
}

export function fromFloat16Bits(half: number): number {
  return decodeTable()[half & 0xffff] as number;
}

/** `value` rounded to the nearest binary16. */
export function roundToFloat16(value: number): number {
  return fromFloat16Bits(toFloat16Bits(value));
}

export function encodeFloat16(values: ArrayLike<number>, out = new Uint16Array(values.length)): Uint16Array {
  for (let i = 0; i < values.length; i++) out[i] = toFloat16Bits(values[i] as number);
  return out;
}

export function decodeFloat16(halves: Uint16Array, out = new Float32Array(halves.length)): Float32Array {
  const t = decodeTable();
  for (let i = 0; i < halves.length; i++) out[i] = t[halves[i] as number] as number;
  return out;
}
