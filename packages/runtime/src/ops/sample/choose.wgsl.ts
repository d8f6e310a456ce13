import { kernel, read, write } from "../../kernel.ts";
import { wgsl } from "../../wgsl.ts";
import { invalidToken, massScale } from "./spec.ts";

export const threads = 256;

/** NaN by its bits: a WGSL compiler may assume that there are none. Also the reduction of a row's largest score. */
const rowMaximum = `
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn ordered(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  return select(bits ^ 0x80000000u, ~bits, (bits & 0x80000000u) != 0u);
}
const minus_infinity_key = 0x007fffffu;
const nan_key = 0xffffffffu;
var<workgroup> best_key: array<u32, ${threads}>;
var<workgroup> best_id: array<u32, ${threads}>;
// the largest key of the row in best_key[0] and its first id in best_id[0]; nan_key where a score is NaN
fn row_maximum(base: u32, count: u32, li: u32) {
  var key = 0u;
  var id = 0xffffffffu;
  for (var i = li; i < count; i += ${threads}u) {
    let x = scores[base + i];
    let k = select(ordered(x), nan_key, is_nan(x));
    if (k > key) { key = k; id = i; }
  }
  best_key[li] = key;
  best_id[li] = id;
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    if (li < half) {
      let k = best_key[li + half];
      let i = best_id[li + half];
      if (k > best_key[li] || (k == best_key[li] && i < best_id[li])) { best_key[li] = k; best_id[li] = i; }
    }
    workgroupBarrier();
  }
}`;

/** A workgroup a row: the first of the largest scores. */
export const greedyKernel = kernel({
  name: "sample-greedy",
  bindings: { scores: read("f32"), token: write("u32") },
  uniforms: { vocabulary: "u32" },
  code: wgsl`
${rowMaximum}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  row_maximum(wid.x * u.vocabulary, u.vocabulary, li);
  if (li == 0u) {
    let key = best_key[0];
    token[wid.x] = select(best_id[0], ${invalidToken}u, key == nan_key || key <= minus_infinity_key);
  }
}`,
});

/**
 * A workgroup a row. Thresholds of top-k and top-p are found digit by digit (8 bits of the ordered score at a time) from
 * histograms, so nothing is sorted; probabilities are integers of 2^-30, so sums are exact and do not depend on order.
 */
export const drawKernel = kernel({
  name: "sample-draw",
  bindings: { scores: read("f32"), random: read("u32"), settings: read("f32"), token: write("u32") },
  uniforms: { vocabulary: "u32" },
  code: wgsl`
${rowMaximum}
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> found: array<u32, 3>;
fn pcg(v: u32) -> u32 {
  let state = v * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}
fn multiply_high(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let mid1 = (a >> 16u) * (b & 0xffffu);
  let mid2 = (a & 0xffffu) * (b >> 16u);
  let carry = (low >> 16u) + (mid1 & 0xffffu) + (mid2 & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (mid1 >> 16u) + (mid2 >> 16u) + (carry >> 16u);
}
// a score's share of the row, in parts of 2^-30 of what normaliser says
fn mass(x: f32, top: f32, normaliser: f32) -> u32 {
  return u32(round(exp((x - top) / settings[0]) * normaliser));
}
// The threshold: walks the digits from the top. By count (top-k): the largest key that at least k scores reach.
// By mass (top-p): the largest key such that the scores below it hold at most the mass "goal".
fn threshold(base: u32, li: u32, by_mass: bool, start_goal: u32, floor_key: u32, top: f32, normaliser: f32) -> u32 {
  var prefix = 0u;
  var goal = start_goal;
  for (var shift = 24i; shift >= 0i; shift -= 8i) {
    atomicStore(&bins[li], 0u);
    workgroupBarrier();
    let s = u32(shift);
    let mask = select(0xffffffffu << (s + 8u), 0u, shift == 24i);
    for (var i = li; i < u.vocabulary; i += ${threads}u) {
      let x = scores[base + i];
      let key = ordered(x);
      if ((key & mask) == prefix && key >= floor_key) {
        atomicAdd(&bins[(key >> s) & 255u], select(1u, mass(x, top, normaliser), by_mass));
      }
    }
    workgroupBarrier();
    if (li == 0u) {
      var digit = select(255u, 0u, by_mass);
      if (by_mass) {
        // upwards, while a whole bin can go; the last bin that holds anything stays
        var last = 0u;
        for (var b = 0u; b < 256u; b++) { if (atomicLoad(&bins[b]) > 0u) { last = b; } }
        while (digit < last && atomicLoad(&bins[digit]) <= goal) { goal -= atomicLoad(&bins[digit]); digit++; }
      } else {
        while (digit > 0u && atomicLoad(&bins[digit]) < goal) { goal -= atomicLoad(&bins[digit]); digit--; }
      }
      found[0] = digit;
      found[1] = goal;
    }
    workgroupBarrier();
    prefix |= workgroupUniformLoad(&found[0]) << s;
    goal = workgroupUniformLoad(&found[1]);
  }
  return prefix;
}
// 0 for what was filtered away; of scores tied at the top-p threshold, the ids before first_tie
fn parts_of(i: u32, x: f32, key: u32, floor_key: u32, tie_key: u32, first_tie: u32, top: f32, normaliser: f32) -> u32 {
  if (key < floor_key || (key == tie_key && i < first_tie)) { return 0u; }
  return mass(x, top, normaliser);
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let base = wid.x * u.vocabulary;
  row_maximum(base, u.vocabulary, li);
  let top_key = workgroupUniformLoad(&best_key[0]);
  if (top_key == nan_key || top_key <= minus_infinity_key) {
    if (li == 0u) { token[wid.x] = ${invalidToken}u; }
    return;
  }
  let top = scores[base + workgroupUniformLoad(&best_id[0])];

  var floor_key = 0u;
  let k = u32(settings[1]);
  if (k > 0u && k < u.vocabulary) { floor_key = threshold(base, li, false, k, 0u, top, 1.0); }

  // normaliser: 2^30 over the sum of what is left, by f32 partial sums (their order is fixed)
  var sum = 0.0;
  for (var i = li; i < u.vocabulary; i += ${threads}u) {
    let x = scores[base + i];
    if (ordered(x) >= floor_key) { sum += exp((x - top) / settings[0]); }
  }
  best_key[li] = bitcast<u32>(sum);
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    if (li < half) { best_key[li] = bitcast<u32>(bitcast<f32>(best_key[li]) + bitcast<f32>(best_key[li + half])); }
    workgroupBarrier();
  }
  let normaliser = ${massScale}.0 / bitcast<f32>(workgroupUniformLoad(&best_key[0]));

  // contiguous chunks of ids, so that ties and the draw are walked in order
  let chunk = (u.vocabulary + ${threads - 1}u) / ${threads}u;
  let from_id = min(li * chunk, u.vocabulary);
  let to_id = min(from_id + chunk, u.vocabulary);
  var tie_key = 0u;
  var first_tie = 0u;
  if (settings[2] < 1.0) {
    let goal = u32((1.0 - settings[2]) * ${massScale}.0);
    tie_key = threshold(base, li, true, goal, floor_key, top, normaliser);
    floor_key = tie_key;
    var ties = 0u;
    for (var i = from_id; i < to_id; i++) { if (ordered(scores[base + i]) == tie_key) { ties++; } }
    best_id[li] = ties;
    workgroupBarrier();
    if (li == 0u) {
      // tied scores hold the same mass each: how many of them found[1] lets go, and so the first id that stays
      let tied = bitcast<f32>(select(~tie_key, tie_key ^ 0x80000000u, (tie_key & 0x80000000u) != 0u));
      var all = 0u;
      for (var t = 0u; t < ${threads}u; t++) { all += best_id[t]; }
      var go = min(found[1] / max(mass(tied, top, normaliser), 1u), all - 1u);
      found[2] = 0u;
      if (go > 0u) {
        var t = 0u;
        while (go >= best_id[t]) { go -= best_id[t]; t++; }
        var i = t * chunk;
        loop {
          if (ordered(scores[base + i]) == tie_key) { if (go == 0u) { break; } go--; }
          i++;
        }
        found[2] = i;
      }
    }
    workgroupBarrier();
    first_tie = workgroupUniformLoad(&found[2]);
  }
  if (settings[3] > 0.0) { floor_key = max(floor_key, ordered(top + log(settings[3]) * settings[0])); }

  var parts = 0u;
  for (var i = from_id; i < to_id; i++) {
    let x = scores[base + i];
    parts += parts_of(i, x, ordered(x), floor_key, tie_key, first_tie, top, normaliser);
  }
  best_key[li] = parts;
  workgroupBarrier();
  if (li == 0u) {
    var total = 0u;
    for (var t = 0u; t < ${threads}u; t++) { total += best_key[t]; }
    let word = pcg(pcg(random[2u * wid.x]) ^ pcg(random[2u * wid.x + 1u] + 0x9e3779b9u));
    var rest = multiply_high(word, total);
    var t = 0u;
    while (t < ${threads - 1}u && rest >= best_key[t]) { rest -= best_key[t]; t++; }
    var id = min(t * chunk, u.vocabulary - 1u);
    for (var i = id; i < u.vocabulary; i++) {
      let x = scores[base + i];
      let p = parts_of(i, x, ordered(x), floor_key, tie_key, first_tie, top, normaliser);
      id = i;
      if (rest < p) { break; }
      rest -= p;
    }
    token[wid.x] = id;
  }
}`,
});
