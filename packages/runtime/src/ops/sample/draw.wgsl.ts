import { kernel, read, write } from "../../kernel.ts";
import { orderedKeyWgsl } from "../../ordered-key.ts";
import { wgsl } from "../../wgsl.ts";
import { invalidToken } from "./spec.ts";

const threads = 256;

/** Sums of probabilities in 64-bit fixed point with 45 bits of fraction: exact, whatever the order of the additions. */
const wideWgsl = `
struct Wide { high: u32, low: u32 }
fn add(a: Wide, b: Wide) -> Wide {
  let low = a.low + b.low;
  return Wide(a.high + b.high + select(0u, 1u, low < a.low), low);
}
fn subtract(a: Wide, b: Wide) -> Wide { return Wide(a.high - b.high - select(0u, 1u, a.low < b.low), a.low - b.low); }
fn less(a: Wide, b: Wide) -> bool { return a.high < b.high || (a.high == b.high && a.low < b.low); }
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let mid1 = (a >> 16u) * (b & 0xffffu);
  let mid2 = (a & 0xffffu) * (b >> 16u);
  let carry = (low >> 16u) + (mid1 & 0xffffu) + (mid2 & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (mid1 >> 16u) + (mid2 >> 16u) + (carry >> 16u);
}
// a · n, which must fit
fn times(a: Wide, n: u32) -> Wide { return Wide(a.high * n + multiply_high(a.low, n), a.low * n); }
// a · n / 2^32, rounded down; its fraction is that of a.low · n
fn share(a: Wide, n: u32) -> Wide {
  return add(Wide(multiply_high(a.high, n), a.high * n), Wide(0u, multiply_high(a.low, n)));
}
// the least n with n · one >= all: an estimate in f32, put right
fn quotient_up(all: Wide, one: Wide) -> u32 {
  if (one.high == 0u && one.low == 0u) { return 1u; }
  let estimate = (f32(all.high) * 4294967296.0 + f32(all.low)) / (f32(one.high) * 4294967296.0 + f32(one.low));
  var n = max(u32(estimate), 1u);
  while (n > 1u && !less(times(one, n - 1u), all)) { n--; }
  while (less(times(one, n), all)) { n++; }
  return n;
}`;

/**
 * A workgroup a row; nothing is sorted. One loop over the row, eleven times; the first ten fill 256 bins and find the bin
 * where the running sum reaches what is sought (one loop, as drivers compile every copy of its body anew):
 *  0-3  the k-th largest key, digit by digit (a radix select on counts)
 *  4-7  the least key within the probability p (the same on masses)
 *  8    how many of the tokens with that very key stay, the highest ids first, as sorting leaves them in the reference
 *  9    mass by chunk of ids, and the chunk in which the random number falls
 *  10   the token in that chunk.
 */
export const drawKernel = kernel({
  name: "sample-draw",
  bindings: { scores: read("f32"), random: read("u32"), settings: read("f32"), token: write("u32") },
  uniforms: { vocabulary: "u32" },
  code: wgsl`
${orderedKeyWgsl}
${wideWgsl}
var<workgroup> bins_high: array<atomic<u32>, ${threads}>;
var<workgroup> bins_low: array<atomic<u32>, ${threads}>;
var<workgroup> groups: array<Wide, 16>;
var<workgroup> largest: atomic<u32>;
var<workgroup> found: u32;
var<workgroup> remaining: Wide;
fn pcg(v: u32) -> u32 {
  let state = v * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}
fn deposit(bin: u32, w: Wide) {
  let old = atomicAdd(&bins_low[bin], w.low);
  let high = w.high + select(0u, 1u, old + w.low < old);
  if (high != 0u) { atomicAdd(&bins_high[bin], high); }
}
fn bin_of(i: u32) -> Wide { return Wide(atomicLoad(&bins_high[i]), atomicLoad(&bins_low[i])); }
// the probability as a share of the largest one's; 0 below least
fn mass(key: u32, top: u32, least: f32) -> Wide {
  var e = 1.0;
  if (key != top) { e = min(exp((value_of(key) - value_of(top)) / settings[0]), 1.0); }
  if (e < least) { return Wide(0u, 0u); }
  let high = floor(e * 8192.0);
  return Wide(u32(high), u32((e * 8192.0 - high) * 4294967296.0));
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let base = wid.x * u.vocabulary;
  let top_k = u32(settings[1]);
  let top_p = settings[2];
  let min_p = settings[3];
  var mine = 0u;
  for (var i = li; i < u.vocabulary; i += ${threads}u) { mine = max(mine, key_of(scores[base + i])); }
  atomicMax(&largest, mine);
  workgroupBarrier();
  let top = atomicLoad(&largest);
  // contiguous chunks of ids, so that ties and the draw are walked in order
  let chunk = (u.vocabulary + ${threads - 1}u) / ${threads}u;
  let chunk_start = li * chunk;
  let chunk_end = min(chunk_start + chunk, u.vocabulary);
  var least_key = 0u;
  var skipped_ties = 0u;
  var prefix = 0u;
  var mask = 0u;
  var chosen = ${invalidToken}u;
  for (var step = 0u; step < 11u; step++) {
    if (step < 4u && (top_k == 0u || top_k >= u.vocabulary)) { continue; }
    if (step >= 4u && step < 9u && top_p >= 1.0) { continue; }
    let shift = 24u - 8u * (step & 3u);
    atomicStore(&bins_high[li], 0u);
    atomicStore(&bins_low[li], 0u);
    workgroupBarrier();
    var own = Wide(0u, 0u);
    var ties = 0u;
    let chunked = step >= 8u;
    let end = select(select(u.vocabulary, chunk_end, chunked), 0u, step == 10u && li != found);
    for (var i = select(li, chunk_start, chunked); i < end; i += select(${threads}u, 1u, chunked)) {
      let key = key_of(scores[base + i]);
      if (key < least_key || (key & mask) != prefix) { continue; }
      if (key == least_key) { ties++; }
      if (step == 8u || (step >= 9u && key == least_key && ties <= skipped_ties)) { continue; }
      var w = Wide(0u, 1u);
      if (step >= 4u) { w = mass(key, top, select(0.0, min_p, step >= 9u)); }
      if (step < 8u) { deposit(255u - ((key >> shift) & 255u), w); } else { own = add(own, w); }
      if (step == 10u && !less(own, remaining)) {
        chosen = i;
        break;
      }
    }
    if (step == 10u) { break; }
    if (step == 8u) { deposit(255u - li, Wide(0u, ties)); }
    if (step == 9u) { deposit(li, own); }
    workgroupBarrier();
    if (li < 16u) {
      var sum = Wide(0u, 0u);
      for (var b = 0u; b < 16u; b++) { sum = add(sum, bin_of(16u * li + b)); }
      groups[li] = sum;
    }
    workgroupBarrier();
    if (li == 0u) {
      var total = Wide(0u, 0u);
      for (var g = 0u; g < 16u; g++) { total = add(total, groups[g]); }
      var sought = remaining;
      if (step == 0u) { sought = Wide(0u, top_k); }
      if (step == 4u) {
        // rounded up, and at least one part, so that one token stays
        let p = u32(max(top_p, 0.0) * 4294967296.0);
        sought = share(total, p);
        if (p == 0u || total.low * p != 0u) { sought = add(sought, Wide(0u, 1u)); }
      }
      if (step == 8u) { sought = Wide(0u, quotient_up(remaining, mass(least_key, top, 0.0))); }
      if (step == 9u) {
        let word = pcg(pcg(random[2u * wid.x]) ^ pcg(random[2u * wid.x + 1u] + 0x9e3779b9u));
        sought = add(share(total, word), Wide(0u, 1u));
      }
      var sum = Wide(0u, 0u);
      var g = 0u;
      while (g < 15u && less(add(sum, groups[g]), sought)) { sum = add(sum, groups[g]); g++; }
      var b = 16u * g;
      while (b < 16u * g + 15u && less(add(sum, bin_of(b)), sought)) { sum = add(sum, bin_of(b)); b++; }
      found = b;
      remaining = subtract(sought, sum);
    }
    workgroupBarrier();
    if (step < 8u) {
      prefix |= (255u - found) << shift;
      mask |= 255u << shift;
      if (shift == 0u) {
        least_key = max(least_key, prefix);
        prefix = 0u;
        mask = 0u;
      }
    }
    if (step == 8u && li <= 255u - found) { skipped_ties = ties - select(0u, remaining.low, li == 255u - found); }
  }
  // a largest key of NaN, or of minus infinity, leaves nothing to choose
  let some = top != 0xffffffffu && top > 0x007fffffu;
  if (li == found) { token[wid.x] = select(${invalidToken}u, chosen, some); }
}`,
});
