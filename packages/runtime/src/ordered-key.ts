/**
 * WGSL `key_of(f32) -> u32`, which orders floats as unsigned integers, and its inverse `value_of`. Both zeros have one
 * key; a NaN of either sign has the largest, so that a maximum never hides it; 0 is below every key.
 */
export const orderedKeyWgsl = `
fn key_of(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return 0xffffffffu; }
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits != magnitude);
}
fn value_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key ^ 0x80000000u, (key & 0x80000000u) != 0u));
}`;
