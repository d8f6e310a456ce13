import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { wgsl } from "../../wgsl.ts";
import { operand } from "../matmul/operand.wgsl.ts";
import { valueBindings, valueDispatches, valueUniforms } from "./dispatches.ts";
import { type SignWeightedValueInputs, signWeightedValueShape } from "./spec.ts";

/** 16 x 16 threads of 4 rows by a vec4: 64 rows n, two words of signs, by 64 columns of a head; 16 tokens j a step. */
const side = 16;
const rows = 4 * side;
const columns = 4 * side;

function lines(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

function tiledKernel(aligned: boolean) {
  const v = operand("v", "f32", aligned);
  return kernel({
    name: `sign-weighted-value-tiled${aligned ? "" : "-unaligned"}`,
    bindings: valueBindings,
    uniforms: valueUniforms,
    code: wgsl`
var<workgroup> v_tile: array<vec4<f32>, ${side * side}>;
var<workgroup> words: array<vec2<u32>, ${side}>;
${v.code}
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let width = u.heads * u.size;
  let head = wid.x / u.parts;
  let col0 = (wid.x % u.parts) * ${columns}u + 4u * lid.x;
  let map = wid.z * u.heads + head;
  let block = wid.y * 2u;
  // not a constant: software adapters unroll loops of constant length, and compile for seconds then
  let sixteen = min(${side}u, ${side}u * u.blocks);
${lines(4, (r) => `  var s${r} = vec4<f32>();`)}
  for (var j0 = 0u; j0 < u.tokens; j0 += ${side}u) {
    // thread (x, y) brings columns 4x to 4x + 3 of token j0 + y, weighted
    let j = min(j0 + lid.y, u.tokens - 1u);
    let weight = select(0.0, weights[wid.z * u.tokens + j], j0 + lid.y < u.tokens);
    v_tile[li] = weight * v_at(j * width + head * u.size + min(col0, u.size - 1u));
    if (li < ${side}u) {
      let token = min(j0 + li, u.tokens - 1u);
      let second = min(block + 1u, u.blocks - 1u);
      words[li] = vec2<u32>(signs[(map * u.blocks + block) * u.tokens + token],
        signs[(map * u.blocks + second) * u.tokens + token]);
    }
    workgroupBarrier();
    for (var i = 0u; i < sixteen; i++) {
      let b = v_tile[i * ${side}u + lid.x];
      let word = words[i] >> vec2<u32>(lid.y);
${lines(4, (r) => `      s${r} += f32((word.${r < 2 ? "x" : "y"} >> ${(r % 2) * side}u) & 1u) * b;`)}
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < 4u; r++) {
    let row = wid.y * ${rows}u + r * ${side}u + lid.y;
    if (row < u.tokens) {
      let at = (wid.z * u.tokens + row) * width + head * u.size;
      for (var col = col0; col < min(col0 + 4u, u.size); col++) {
        y[at + col] = s0.x * u.scale;
        s0 = s0.yzww;
      }
    }
    s0 = s1;
    s1 = s2;
    s2 = s3;
  }
}`,
  });
}

/** Through workgroup memory, on any adapter. */
export const tiledVariant: Variant<SignWeightedValueInputs, Record<string, never>> = {
  name: "tiled",
  supports: (_, __, { limits }) => limits.maxComputeInvocationsPerWorkgroup >= side * side,
  build(context) {
    const { size } = signWeightedValueShape(context.inputs);
    return valueDispatches(tiledKernel(size % 4 === 0), { rows, columns }, context);
  },
};
