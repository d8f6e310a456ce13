import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { wgsl } from "../../wgsl.ts";
import { signRows } from "../legrad-map/spec.ts";
import { operand } from "../matmul/operand.wgsl.ts";
import { valueBindings, valueDispatches, valueUniforms } from "./dispatches.ts";
import { type SignWeightedValueInputs, signWeightedValueShape } from "./spec.ts";

function lines(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/**
 * A workgroup is one subgroup: 32 rows n, which one word of signs covers, by 4S columns of a head, 4 a lane, summed over
 * all j. Word and weight are the same for all lanes; the epilogue is rolled as in matmul's subgroup kernel.
 */
function subgroupKernel(subgroupSize: number, aligned: boolean) {
  const v = operand("v", "f32", aligned);
  return kernel({
    name: `sign-weighted-value-subgroup-${subgroupSize}${aligned ? "" : "-unaligned"}`,
    bindings: valueBindings,
    uniforms: valueUniforms,
    enable: ["subgroups"],
    code: wgsl`
${v.code}
@compute @workgroup_size(${subgroupSize})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let width = u.heads * u.size;
  let head = wid.x / u.parts;
  let col0 = (wid.x % u.parts) * ${4 * subgroupSize}u + 4u * lane;
  let v_base = head * u.size + col0;
  let words = ((wid.z * u.heads + head) * u.blocks + wid.y) * u.tokens;
${lines(signRows, (r) => `  var s${r} = vec4<f32>();`)}
  for (var j = 0u; j < u.tokens; j++) {
    let word = signs[words + j];
    let b = weights[wid.z * u.tokens + j] * v_at(j * width + v_base);
${lines(signRows, (r) => `    s${r} += f32((word >> ${r}u) & 1u) * b;`)}
  }
  let row0 = wid.y * ${signRows}u;
  for (var row = row0; row < min(row0 + ${signRows}u, u.tokens); row++) {
    let at = (wid.z * u.tokens + row) * width + head * u.size;
    for (var col = col0; col < min(col0 + 4u, u.size); col++) {
      y[at + col] = s0.x * u.scale;
      s0 = s0.yzww;
    }
${lines(signRows - 1, (r) => `    s${r} = s${r + 1};`)}
  }
}`,
  });
}

/** For fixed subgroups of 4 or 8 lanes: those of software adapters. */
export const subgroupVariant: Variant<SignWeightedValueInputs, Record<string, never>> = {
  name: "subgroup",
  supports: (_, __, caps) => caps.subgroups && (caps.subgroupSize === 4 || caps.subgroupSize === 8),
  build(context) {
    const { subgroupSize } = context.caps;
    const { size } = signWeightedValueShape(context.inputs);
    const tile = { rows: signRows, columns: 4 * subgroupSize };
    return valueDispatches(subgroupKernel(subgroupSize, size % 4 === 0), tile, context);
  },
};
