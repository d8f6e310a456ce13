import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { wgsl } from "../../wgsl.ts";
import { operand, withinK } from "../matmul/operand.wgsl.ts";
import { mapBindings, mapDispatches, mapUniforms } from "./dispatches.ts";
import { type LegradMapInputs, type LegradMapParams, legradMapShape, signRows } from "./spec.ts";

const components = ["x", "y", "z", "w"] as const;

function lines(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/**
 * A workgroup is one subgroup: it takes 4S columns j, 4 a lane, and walks over all rows n in blocks of 32, each block a
 * product as in matmul's subgroup kernel (A spread by subgroupBroadcast, sums in registers). A block's signs are a word
 * a column that its own lane puts together, so nothing crosses lanes.
 */
function subgroupKernel(subgroupSize: number, aligned: boolean) {
  const a = operand("a", "f32", aligned);
  const b = operand("b", "f32", aligned);
  const loads = signRows / subgroupSize;
  return kernel({
    name: `legrad-map-subgroup-${subgroupSize}${aligned ? "" : "-unaligned"}`,
    bindings: mapBindings,
    uniforms: mapUniforms,
    enable: ["subgroups"],
    code: wgsl`
${a.code}
${b.code}
${withinK(aligned)}
@compute @workgroup_size(${subgroupSize})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let width = u.heads * u.k;
  let col0 = (wid.x * ${subgroupSize}u + lane) * 4u;
  let a_base = wid.z * u.tokens * width + wid.y * u.k;
${lines(4, (c) => `  let b_row${c} = min(col0 + ${c}u, u.tokens - 1u) * width + wid.y * u.k;`)}
  let map = wid.z * u.heads + wid.y;
  var relevance = vec4<f32>();
  for (var block = 0u; block < u.blocks; block++) {
${lines(loads, (i) => `    let n${i} = block * ${signRows}u + ${i * subgroupSize}u + lane; let a_row${i} = a_base + min(n${i}, u.tokens - 1u) * width;`)}
${lines(signRows, (r) => `    var s${r} = vec4<f32>();`)}
    for (var k = 0u; k < u.k; k += 4u) {
${lines(loads, (i) => `      let a${i} = select(vec4<f32>(), within_k(a_at(a_row${i} + k), k), n${i} < u.tokens);`)}
${lines(4, (c) => `      let column${c} = within_k(b_at(b_row${c} + k), k);`)}
${lines(4, (j) => `      let b${j} = vec4<f32>(${[0, 1, 2, 3].map((c) => `column${c}.${components[j]}`).join(", ")});`)}
${lines(signRows, (r) => {
  const sum = components.map((c, j) => `s${r} += r${r}.${c} * b${j};`).join(" ");
  return `      let r${r} = subgroupBroadcast(a${Math.floor(r / subgroupSize)}, ${r % subgroupSize}u); ${sum}`;
})}
    }
    var word = vec4<u32>();
${lines(signRows, (r) => `    relevance += max(s${r}, vec4<f32>()); word |= select(vec4<u32>(), vec4<u32>(${2 ** r}u), s${r} > vec4<f32>());`)}
    let at = (map * u.blocks + block) * u.tokens;
    for (var col = col0; col < min(col0 + 4u, u.tokens); col++) {
      signs[at + col] = word.x;
      word = word.yzww;
    }
  }
  for (var col = col0; col < min(col0 + 4u, u.tokens); col++) {
    partial[map * u.tokens + col] = relevance.x;
    relevance = relevance.yzww;
  }
}`,
  });
}

/** For fixed subgroups of 4 or 8 lanes: those of software adapters. */
export const subgroupVariant: Variant<LegradMapInputs, LegradMapParams> = {
  name: "subgroup",
  supports: (_, __, caps) => caps.subgroups && (caps.subgroupSize === 4 || caps.subgroupSize === 8),
  build(context) {
    const { subgroupSize } = context.caps;
    const { size } = legradMapShape(context.inputs, context.params);
    return mapDispatches(
      subgroupKernel(subgroupSize, size % 4 === 0),
      { columns: 4 * subgroupSize, sums: 1 },
      context,
    );
  },
};
