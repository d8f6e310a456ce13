import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { orderedKeyWgsl } from "../../ordered-key.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { mostK, type TopKInputs, type TopKParams } from "./spec.ts";

const threads = 256;

/**
 * A workgroup a row. The k-th best is found digit by digit from histograms (a radix select): four digits of the key, then,
 * where not all of the values equal to the k-th are wanted, three digits of the reversed index, so that lower indices
 * win. What is at least that is collected and sorted (bitonic).
 */
const selectKernel = kernel({
  name: "top-k-select",
  bindings: { x: read("f32"), values: write("f32"), indices: write("u32") },
  uniforms: { rows: "u32", width: "u32", k: "u32", padded: "u32" },
  code: wgsl`
${orderedKeyWgsl}
struct Found { bin: u32, above: u32, all: u32 }
var<workgroup> bins: array<atomic<u32>, 256>;
var<workgroup> groups: array<u32, 16>;
var<workgroup> found: Found;
var<workgroup> taken: atomic<u32>;
var<workgroup> best: array<vec2<u32>, ${mostK}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let row = flat_workgroup(wid, nwg);
  if (row >= u.rows) { return; }
  let base = row * u.width;
  var sought = u.k;
  var least = vec2<u32>(0u); // key, reversed index: digits found so far
  var mask = vec2<u32>(0u);
  for (var step = 0u; step < 7u; step++) {
    // the digit's place: 24, 16, 8, 0 of the key, then 16, 8, 0 of the reversed index
    let of_index = step >= 4u;
    let shift = select(24u - 8u * step, 48u - 8u * step, of_index);
    atomicStore(&bins[li], 0u);
    workgroupBarrier();
    for (var i = li; i < u.width; i += ${threads}u) {
      let item = vec2<u32>(key_of(x[base + i]), u.width - 1u - i);
      if (all((item & mask) == least)) { atomicAdd(&bins[255u - ((select(item.x, item.y, of_index) >> shift) & 255u)], 1u); }
    }
    workgroupBarrier();
    if (li < 16u) {
      var count = 0u;
      for (var b = 0u; b < 16u; b++) { count += atomicLoad(&bins[16u * li + b]); }
      groups[li] = count;
    }
    workgroupBarrier();
    if (li == 0u) {
      var count = 0u;
      var g = 0u;
      while (g < 15u && count + groups[g] < sought) { count += groups[g]; g++; }
      var b = 16u * g;
      while (b < 16u * g + 15u && count + atomicLoad(&bins[b]) < sought) { count += atomicLoad(&bins[b]); b++; }
      found = Found(b, count, count + atomicLoad(&bins[b]));
    }
    let f = workgroupUniformLoad(&found);
    let digit = (255u - f.bin) << shift;
    least |= select(vec2<u32>(digit, 0u), vec2<u32>(0u, digit), of_index);
    mask |= select(vec2<u32>(255u << shift, 0u), vec2<u32>(0u, 255u << shift), of_index);
    // everything with these digits is wanted
    if (f.all == sought) { break; }
    sought -= f.above;
  }
  // items below are not of the best; missing digits of the bound are 0, so all with its digits pass
  for (var i = li; i < u.padded; i += ${threads}u) { best[i] = vec2<u32>(0u); }
  if (li == 0u) { atomicStore(&taken, 0u); }
  workgroupBarrier();
  for (var i = li; i < u.width; i += ${threads}u) {
    let item = vec2<u32>(key_of(x[base + i]), u.width - 1u - i);
    if (item.x > least.x || (item.x == least.x && item.y >= least.y)) { best[atomicAdd(&taken, 1u)] = item; }
  }
  workgroupBarrier();
  for (var run = 2u; run <= u.padded; run <<= 1u) {
    for (var half = run >> 1u; half > 0u; half >>= 1u) {
      for (var i = li; i < u.padded; i += ${threads}u) {
        let other = i ^ half;
        if (other > i) {
          let a = best[i];
          let b = best[other];
          let b_first = b.x > a.x || (b.x == a.x && b.y > a.y);
          if (b_first == ((i & run) == 0u)) { best[i] = b; best[other] = a; }
        }
      }
      workgroupBarrier();
    }
  }
  for (var i = li; i < u.k; i += ${threads}u) {
    let at = u.width - 1u - best[i].y;
    values[row * u.k + i] = x[base + at];
    indices[row * u.k + i] = at;
  }
}`,
});

export const selectVariant: Variant<TopKInputs, TopKParams> = {
  name: "select",
  supports: () => true,
  build({ inputs: { x }, outputs, params: { k }, caps }) {
    const width = x.shape.at(-1) as number;
    const [values, indices] = outputs as [Tensor, Tensor];
    const parts = {
      x: { tensor: x, width },
      values: { tensor: values, width: k },
      indices: { tensor: indices, width: k },
    };
    return rowWindows(sizeOf(x.shape) / width, Object.values(parts), caps).map((w) =>
      dispatch(
        selectKernel,
        { x: rowsOf(parts.x, w), values: rowsOf(parts.values, w), indices: rowsOf(parts.indices, w) },
        { rows: w.count, width, k, padded: 2 ** Math.ceil(Math.log2(k)) },
        grid(w.count),
      ),
    );
  },
};
