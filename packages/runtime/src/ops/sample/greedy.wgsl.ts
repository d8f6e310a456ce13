import { kernel, read, write } from "../../kernel.ts";
import { orderedKeyWgsl } from "../../ordered-key.ts";
import { wgsl } from "../../wgsl.ts";
import { invalidToken } from "./spec.ts";

const threads = 256;

/** A workgroup a row: the first of the largest scores. */
export const greedyKernel = kernel({
  name: "sample-greedy",
  bindings: { scores: read("f32"), token: write("u32") },
  uniforms: { vocabulary: "u32" },
  code: wgsl`
${orderedKeyWgsl}
var<workgroup> largest: atomic<u32>;
var<workgroup> first: atomic<u32>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let base = wid.x * u.vocabulary;
  var key = 0u;
  var id = ${invalidToken}u;
  for (var i = li; i < u.vocabulary; i += ${threads}u) {
    let k = key_of(scores[base + i]);
    if (k > key) { key = k; id = i; }
  }
  if (li == 0u) { atomicStore(&first, ${invalidToken}u); }
  atomicMax(&largest, key);
  workgroupBarrier();
  // a largest key of NaN, or of minus infinity, leaves nothing to choose
  let top = atomicLoad(&largest);
  if (key == top && top != 0xffffffffu && top > 0x007fffffu) { atomicMin(&first, id); }
  workgroupBarrier();
  if (li == 0u) { token[wid.x] = atomicLoad(&first); }
}`,
});
