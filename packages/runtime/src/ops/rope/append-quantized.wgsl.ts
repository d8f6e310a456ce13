import { halfBits } from "../../half-bits.wgsl.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { quantGroup } from "../../quantized.ts";
import { noScale } from "../../quantized-host.ts";
import { quantizingCode, setHalf } from "../../quantizing.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { f32, wgsl } from "../../wgsl.ts";
import { planeRows, rowsOf, rowWindows } from "../../windows.ts";
import { rotatedCode, rotationCode } from "./rotation.wgsl.ts";
import { appendShape, type RopeAppendInputs, type RopeParams } from "./spec.ts";

const workgroup = 64;
/** Threads of a group. */
const quads = quantGroup / 4;

/**
 * A thread for each four elements of a head of queries, keys or values, which are padded to whole groups. Threads of a group
 * lie side by side in a workgroup, find its largest magnitude together, and store a word of quants each. The arithmetic is
 * that of quantized-host.ts: a group that is not finite becomes NaN.
 */
const quantizedKernel = kernel({
  name: "rope-append-q8_0",
  bindings: {
    qkv: read("f32"),
    inv_freq: read("f32"),
    start: read("u32"),
    k_cache: write("u32"),
    k_scales: write("atomic<u32>"),
    v_cache: write("u32"),
    v_scales: write("atomic<u32>"),
    y: write("f32"),
  },
  uniforms: {
    count: "u32",
    size: "u32",
    /** Of a head. */
    groups: "u32",
    heads: "u32",
    kv_heads: "u32",
    length: "u32",
    capacity: "u32",
    rotary: "u32",
    batch0: "u32",
    scaling: "f32",
  },
  code: wgsl`
// of each thread, as bits: integers compare as magnitudes do, and a NaN is larger than all
var<workgroup> magnitudes: array<u32, ${workgroup}>;
${rotationCode("f32")}
${rotatedCode("qkv")}
${halfBits}
${quantizingCode}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  let quad = i % (${quads}u * u.groups);
  let heads = u.heads + 2u * u.kv_heads;
  let head = i / (${quads}u * u.groups) % heads;
  let row = i / (${quads}u * u.groups) / heads;
  let step = row % u.length;
  let first = start[u.batch0 + row / u.length];
  let is_value = head >= u.heads + u.kv_heads;
  let source = (row * heads + head) * u.size;
  let end = select(0u, min(4u, u.size - min(4u * quad, u.size)), i < u.count);
  var x = vec4<f32>();
  for (var e = 0u; e < end; e++) {
    let d = 4u * quad + e;
    if (is_value) { x[e] = qkv[source + d]; }
    else { x[e] = rotated_qkv(source, d, first + step); }
  }
  let bits = bitcast<vec4<u32>>(abs(x));
  magnitudes[li] = max(max(bits.x, bits.y), max(bits.z, bits.w));
  workgroupBarrier();
  if (i >= u.count) { return; }
  if (head < u.heads) {
    let to = (row * u.heads + head) * u.size + 4u * quad;
    for (var e = 0u; e < end; e++) { y[to + e] = x[e]; }
    return;
  }
  if (first >= u.capacity || step >= u.capacity - first) { return; }
  var largest = 0u;
  for (var t = 0u; t < ${quads}u; t++) { largest = max(largest, magnitudes[li / ${quads}u * ${quads}u + t]); }
  var scale = half_bits(bitcast<u32>(bitcast<f32>(largest) * ${f32(1 / 127)}));
  var word = 0u;
  if (largest < 0x7f800000u && scale < 0x7c00u) {
    let q = nearest(x, unpack2x16float(scale).x);
    word = pack_bytes(vec4<i32>(clamp(q, vec4<f32>(-127.0), vec4<f32>(127.0))));
  } else {
    scale = ${noScale}u;
  }
  let kv_head = (head - u.heads) % u.kv_heads;
  let cache_row = (row / u.length * u.capacity + first + step) * u.kv_heads + kv_head;
  let at = cache_row * ${quads}u * u.groups + quad;
  let group = at / ${quads}u;
  if (is_value) {
    v_cache[at] = word;
    if (at % ${quads}u == 0u) {
      ${setHalf("v_scales", "group", "scale")}
    }
  } else {
    k_cache[at] = word;
    if (at % ${quads}u == 0u) {
      ${setHalf("k_scales", "group", "scale")}
    }
  }
}`,
});

/** Into caches in q8_0. */
export const quantizedVariant: Variant<RopeAppendInputs, RopeParams> = {
  name: "q8_0",
  supports: ({ kCache }) => kCache.dtype === "q8_0",
  build({ inputs, outputs, params, caps }) {
    const { qkv, invFreq, start, kCache, vCache } = inputs;
    const y = outputs[0] as Tensor;
    const { batch, length, heads, kvHeads, size, rotary, capacity } = appendShape(inputs, params);
    const groups = Math.ceil(size / quantGroup);
    const rows = (tensor: Tensor) => ({ tensor, width: sizeOf(tensor.shape.slice(1)) });
    const keys = planeRows(kCache, capacity * kvHeads);
    const values = planeRows(vCache, capacity * kvHeads);
    const parts = [rows(qkv), rows(y), keys.quants, keys.scales, values.quants, values.scales];
    return rowWindows(batch, parts, caps).map((window) => {
      const part = (tensor: Tensor) => rowsOf(rows(tensor), window);
      const count = window.count * length * (heads + 2 * kvHeads) * groups * quads;
      return dispatch(
        quantizedKernel,
        {
          qkv: part(qkv),
          inv_freq: invFreq,
          start,
          k_cache: rowsOf(keys.quants, window),
          k_scales: rowsOf(keys.scales, window),
          v_cache: rowsOf(values.quants, window),
          v_scales: rowsOf(values.scales, window),
          y: part(y),
        },
        {
          count,
          size,
          groups,
          heads,
          kv_heads: kvHeads,
          length,
          capacity,
          rotary,
          batch0: window.start,
          scaling: params.attentionScaling,
        },
        grid(count, workgroup),
      );
    });
  },
};
