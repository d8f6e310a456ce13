/**
 * `half_bits(x)`: the binary16 bits of an f32 that is given as bits. Rounds in integers, to nearest even: `pack2x16float`
 * may round either way, and drivers differ. Subnormal halves are kept, overflow gives an infinity, a NaN stays one.
 */
export const halfBits = `
fn half_bits(x: u32) -> u32 {
  let sign = (x >> 16u) & 0x8000u;
  let m = x & 0x7fffffffu;
  if (m > 0x7f800000u) { return sign | 0x7e00u; }
  if (m >= 0x477ff000u) { return sign | 0x7c00u; }
  var shift = 13u;
  var v = m - 0x38000000u;
  if (m < 0x38800000u) {
    shift = min(126u - (m >> 23u), 31u);
    v = (m & 0x7fffffu) | 0x800000u;
    if (m < 0x00800000u) { v = 0u; }
  }
  let odd = (v >> shift) & 1u;
  return sign | ((v + (1u << (shift - 1u)) - 1u + odd) >> shift);
}`;

/** `finite_half_bits(x)`: as `half_bits`, which this needs, but what is finite stays so: the largest half at most. */
export const finiteHalfBits = `
fn finite_half_bits(x: u32) -> u32 {
  let h = half_bits(x);
  let overflown = (h & 0x7fffu) == 0x7c00u && (x & 0x7fffffffu) < 0x7f800000u;
  return select(h, h - 1u, overflown);
}`;
