import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { wgsl } from "../../wgsl.ts";
import { operand, withinK } from "../matmul/operand.wgsl.ts";
import { mapBindings, mapDispatches, mapUniforms } from "./dispatches.ts";
import { type LegradMapInputs, type LegradMapParams, legradMapShape } from "./spec.ts";

/** 16 x 16 threads of 4 rows by 4 columns: 64 rows n, two words of signs, by 64 columns j. */
const side = 16;
const tile = 4 * side;
/** K elements a step, and the pitch in vec4s, one more than they fill, so that 8 threads' vec4s fall on 32 banks. */
const quads = 4;
const pitch = quads + 1;

function lines(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/**
 * A workgroup takes 64 columns and walks over all rows in blocks of 64 through workgroup memory. Its threads' rows and
 * columns are 16 apart, so the bits of a column's rows come together through workgroup memory too.
 */
function tiledKernel(aligned: boolean) {
  const a = operand("a", "f32", aligned);
  const b = operand("b", "f32", aligned);
  return kernel({
    name: `legrad-map-tiled${aligned ? "" : "-unaligned"}`,
    bindings: mapBindings,
    uniforms: mapUniforms,
    code: wgsl`
var<workgroup> a_tile: array<vec4<f32>, ${tile * pitch}>;
var<workgroup> b_tile: array<vec4<f32>, ${tile * pitch}>;
var<workgroup> positive: array<u32, ${side * tile}>;
${a.code}
${b.code}
${withinK(false)}
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let width = u.heads * u.k;
  let col0 = wid.x * ${tile}u;
  let a_base = wid.z * u.tokens * width + wid.y * u.k;
  let map = wid.z * u.heads + wid.y;
  let load_row = li / ${quads}u;
  let load_quad = li % ${quads}u;
  let b_row = min(col0 + load_row, u.tokens - 1u) * width + wid.y * u.k;
  // 16, but not a constant: software adapters unroll loops of constant length, and compile for seconds then
  let sixteen = min(${side}u, ${side}u * u.blocks);
  var relevance = vec4<f32>();
  for (var row0 = 0u; row0 < u.tokens; row0 += ${tile}u) {
    let n = row0 + load_row;
    let a_row = a_base + min(n, u.tokens - 1u) * width;
    var s0 = vec4<f32>(); var s1 = vec4<f32>(); var s2 = vec4<f32>(); var s3 = vec4<f32>();
    for (var k0 = 0u; k0 < u.k; k0 += ${4 * quads}u) {
      let k = k0 + 4u * load_quad;
      a_tile[load_row * ${pitch}u + load_quad] = select(vec4<f32>(), within_k(a_at(a_row + k), k), n < u.tokens);
      b_tile[load_row * ${pitch}u + load_quad] = within_k(b_at(b_row + k), k);
      workgroupBarrier();
      for (var q = 0u; q < sixteen / 4u; q++) {
${lines(4, (c) => `        let b${c} = b_tile[(${c * side}u + lid.x) * ${pitch}u + q];`)}
${lines(4, (r) => `        { let v = a_tile[(${r * side}u + lid.y) * ${pitch}u + q]; s${r} += vec4<f32>(dot(v, b0), dot(v, b1), dot(v, b2), dot(v, b3)); }`)}
      }
      workgroupBarrier();
    }
    relevance += max(s0, vec4<f32>()) + max(s1, vec4<f32>()) + max(s2, vec4<f32>()) + max(s3, vec4<f32>());
    // row r · 16 + y of a column: bit r of what thread y writes
    var bits = vec4<u32>();
${lines(4, (r) => `    bits |= select(vec4<u32>(), vec4<u32>(${2 ** r}u), s${r} > vec4<f32>());`)}
    for (var c = 0u; c < sixteen / 4u; c++) {
      positive[lid.y * ${tile}u + c * ${side}u + lid.x] = bits.x;
      bits = bits.yzww;
    }
    workgroupBarrier();
    if (li < ${2 * tile}u) {
      let second = li / ${tile}u;
      var word = 0u;
      for (var y = 0u; y < sixteen; y++) {
        let pair = positive[y * ${tile}u + li % ${tile}u] >> (2u * second);
        word |= ((pair & 1u) | ((pair & 2u) << 15u)) << y;
      }
      let block = row0 / 32u + second;
      let col = col0 + li % ${tile}u;
      if (block < u.blocks && col < u.tokens) { signs[(map * u.blocks + block) * u.tokens + col] = word; }
    }
  }
  for (var c = 0u; c < sixteen / 4u; c++) {
    let col = col0 + c * ${side}u + lid.x;
    if (col < u.tokens) { partial[(map * ${side}u + lid.y) * u.tokens + col] = relevance.x; }
    relevance = relevance.yzww;
  }
}`,
  });
}

/** Through workgroup memory, on any adapter. */
export const tiledVariant: Variant<LegradMapInputs, LegradMapParams> = {
  name: "tiled",
  supports: (_, __, { limits }) =>
    limits.maxComputeInvocationsPerWorkgroup >= side * side &&
    limits.maxComputeWorkgroupStorageSize >= 4 * tile * (8 * pitch + side),
  build(context) {
    const { size } = legradMapShape(context.inputs, context.params);
    return mapDispatches(tiledKernel(size % 4 === 0), { columns: tile, sums: side }, context);
  },
};
