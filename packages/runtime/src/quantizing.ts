/**
 * The arithmetic of quantisation in WGSL, which gives the bits of quantized-host.ts on every adapter:
 *
 * - `nearest(x: vec4<f32>, d: f32) -> vec4<f32>`: x / d rounded to nearest, half away from zero; 0 where d is 0;
 * - `pack_bytes(q: vec4<i32>) -> u32`: the low bytes of four integers, the first in the lowest.
 */
export const quantizingCode = `
// |x / d| to nearest, half away from zero, exactly: the quotient's floor is off by one at most, and the remainders of the
// floors around it are exact in f32
fn nearest(x: vec4<f32>, d: f32) -> vec4<f32> {
  let e = vec4<f32>(abs(d));
  if (d == 0.0) { return vec4<f32>(); }
  let a = abs(x);
  var k = floor(a / e);
  k = select(k, k - 1.0, a - k * e < vec4<f32>());
  k = select(k, k + 1.0, a - k * e >= e);
  k = select(k, k + 1.0, 2.0 * (a - k * e) >= e);
  return select(k, -k, (x < vec4<f32>()) != vec4<bool>(d < 0.0));
}
fn pack_bytes(q: vec4<i32>) -> u32 {
  let b = vec4<u32>(q) & vec4<u32>(255u);
  return b.x | (b.y << 8u) | (b.z << 16u) | (b.w << 24u);
}`;

/**
 * Statements that set half `at` of `array`, an array<atomic<u32>>: two scales share a word, and the neighbour may be another
 * thread's or another dispatch's, so that only these two bytes are touched.
 */
export function setHalf(array: string, at: string, bits: string): string {
  return `atomicAnd(&${array}[${at} >> 1u], 0xffff0000u >> (16u * (${at} & 1u)));
  atomicOr(&${array}[${at} >> 1u], ${bits} << (16u * (${at} & 1u)));`;
}
