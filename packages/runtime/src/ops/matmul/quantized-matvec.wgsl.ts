import { grid, kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { quantizedReader } from "../../quantized-reading.ts";
import { wgsl } from "../../wgsl.ts";
import { epilogueWgsl } from "./epilogue.wgsl.ts";
import {
  hasQuantizedWeights,
  type QuantizedKernel,
  quantizedBindings,
  quantizedDispatches,
  quantizedUniforms,
} from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { treeSum } from "./tree-sum.ts";
import { unroll } from "./unroll.ts";

/** Threads side by side along K, and rows of weights that they share. */
const threads = 128;
const columns = 4;
const mostVectors = 8;

/**
 * A few rows of A: a workgroup reads 4 rows of weights once, its threads side by side along K with 16 weights of each row,
 * half a group, and adds the threads' sums in a tree. A group's scale multiplies a sum, not weights.
 */
function matvecKernel(dtype: QuantizedDType, vectors: number): QuantizedKernel {
  const wide = dtype === "q8_0";
  /** Of the half group's four vec4s of A, in the order of `quants`. */
  const quads = wide ? [0, 1, 2, 3] : [0, 1, 4, 5];
  const quants = wide
    ? ["quants_of(w.x)", "quants_of(w.y)", "quants_of(w.z)", "quants_of(w.w)"]
    : ["low_quants(w.x)", "low_quants(w.y)", "high_quants(w.x)", "high_quants(w.y)"];
  const half = wide ? 4 : 2;
  const dot = (v: number) => quads.map((_, i) => `dot(x${v}_${i}, q${i})`).join(" + ");
  const sum = (v: number) => `dot(${quads.map((_, i) => `x${v}_${i}`).join(" + ")}, vec4<f32>(1.0))`;
  return kernel({
    name: `matvec-workgroup-${vectors}x${columns}-${dtype}`,
    bindings: quantizedBindings(wide ? "vec4<u32>" : "vec2<u32>"),
    uniforms: quantizedUniforms,
    code: wgsl`
${quantizedReader(dtype)}
${epilogueWgsl}
${treeSum(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let col0 = flat_workgroup(wid, nwg) * ${columns}u;
${unroll(vectors, (v) => `  let x_row${v} = min(${v}u, u.m - 1u) * u.groups * 8u;`)}
${unroll(columns, (c) => `  let w_row${c} = min(col0 + ${c}u, u.columns - 1u) * u.groups;`)}
${unroll(vectors, (v) => `  var s${v} = vec4<f32>();`)}
  for (var i = li; i < 2u * u.groups; i += ${threads}u) {
    let g = i >> 1u;
    let q = 8u * g + ${half}u * (i & 1u);
${unroll(vectors, (v) => quads.map((at, j) => `    let x${v}_${j} = a[x_row${v} + q + ${at}u];`).join("\n"))}
#if ${!wide}
${unroll(vectors, (v) => `    let total${v} = ${sum(v)};`)}
#endif
${unroll(
  columns,
  (c) => `    {
      let w = quants[2u * w_row${c} + i];
      let s = scale_of(w_row${c} + g);
${quants.map((code, i) => `      let q${i} = ${code};`).join("\n")}
${unroll(vectors, (v) => `      s${v}[${c}] += s.x * (${dot(v)})${wide ? "" : ` + s.y * total${v}`};`)}
    }`,
)}
  }
  for (var row = 0u; row < u.m; row++) {
    let sums = tree_sum(s0, li);
    if (li < ${columns}u && col0 + li < u.columns) {
      let col = u.column0 + col0 + li;
      finish(row * u.n + col, col, sums[li]);
    }
${unroll(vectors - 1, (v) => `    s${v} = s${v + 1};`)}
  }
}`,
  });
}

/** For M up to 8, as in decoding, where the weights are what has to be read. */
export const quantizedMatvecVariant: Variant<MatmulInputs, MatmulParams> = {
  name: "quantized-matvec",
  supports(inputs, params, caps) {
    const { limits } = caps;
    return (
      hasQuantizedWeights(inputs) &&
      matmulShape(inputs, params).m <= mostVectors &&
      threads <= limits.maxComputeInvocationsPerWorkgroup
    );
  },
  build(context) {
    const { inputs, params } = context;
    const { m } = matmulShape(inputs, params);
    const vectors = [1, 4].find((v) => v >= m) ?? mostVectors;
    return quantizedDispatches(matvecKernel(inputs.b.dtype as QuantizedDType, vectors), context, (_, n) =>
      grid(n, columns),
    );
  },
};
