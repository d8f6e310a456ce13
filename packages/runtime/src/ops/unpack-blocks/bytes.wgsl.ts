/**
 * WGSL to read the bytes of `blocks`, an array of u32, at even addresses: blocks begin at any of them. `half_at` notes in
 * `fault` where a scale is no number, in integers, as a compiler may take floats to be finite.
 */
export const blockBytes = `
var<private> fault: bool = false;
fn word_at(at: u32) -> u32 {
  let w = blocks[at >> 2u];
  if ((at & 2u) == 0u) { return w; }
  return (w >> 16u) | (blocks[(at >> 2u) + 1u] << 16u);
}
fn byte_at(at: u32) -> u32 { return (blocks[at >> 2u] >> (8u * (at & 3u))) & 255u; }
fn half_bits_at(at: u32) -> u32 {
  let bits = (blocks[at >> 2u] >> (8u * (at & 2u))) & 0xffffu;
  fault = fault || (bits & 0x7c00u) == 0x7c00u;
  return bits;
}
fn half_at(at: u32) -> f32 { return unpack2x16float(half_bits_at(at)).x; }`;

/**
 * `source_row(row: u32) -> u32`: the row of blocks for a row of the target, both from the target's start; `u.head_rows`
 * are a head's.
 */
export const sourceRowCode = `
fn source_row(row: u32) -> u32 {
  if (u.head_rows == 0u) { return row; }
  let within = row % u.head_rows;
  let half = u.head_rows / 2u;
  return row - within + 2u * (within % half) + within / half;
}`;
