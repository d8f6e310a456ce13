import { grid, kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { quantizedReader } from "../../quantized-reading.ts";
import { wgsl } from "../../wgsl.ts";
import { epilogueWgsl } from "./epilogue.wgsl.ts";
import {
  type IntegerKernel,
  integerBindings,
  integerDispatches,
  integerWgsl,
  isInteger,
} from "./integer-dispatches.ts";
import { quantizedUniforms } from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { treeSum } from "./tree-sum.ts";
import { unroll } from "./unroll.ts";

const threads = 128;
const columns = 4;
const mostVectors = 8;
const components = ["x", "y", "z", "w"] as const;

/** As the matrix-vector kernel of f32 rows (quantized-matvec.wgsl.ts), with half groups multiplied as integers. */
function matvecKernel(dtype: QuantizedDType, vectors: number, packedDot: boolean): IntegerKernel {
  const wide = dtype === "q8_0";
  /** The words of the half group's quants of A, and of the row of weights. */
  const x = (v: number, i: number) =>
    wide ? `x${v}.${components[i]}` : `x${v}_${i >> 1}.${components[i & 1]}`;
  const w = (i: number) =>
    wide ? `w.${components[i]}` : `((w.${components[i & 1]}${i > 1 ? " >> 4u" : ""}) & 0x0f0f0f0fu)`;
  const sum = (v: number, other: (i: number) => string) =>
    [0, 1, 2, 3].reduce((inner, i) => `dot_bytes(${x(v, i)}, ${other(i)}, ${inner})`, "0");
  const load = (v: number) =>
    wide
      ? `let x${v} = a_quants[2u * a_row${v} + i];`
      : `let x${v}_0 = a_quants[4u * (a_row${v} + g) + (i & 1u)]; let x${v}_1 = a_quants[4u * (a_row${v} + g) + 2u + (i & 1u)];`;
  return kernel({
    name: `matvec-integer-${vectors}x${columns}-${dtype}${packedDot ? "" : "-unpacked"}`,
    bindings: integerBindings(wide ? "vec4<u32>" : "vec2<u32>", wide ? "vec4<u32>" : "vec2<u32>"),
    uniforms: quantizedUniforms,
    code: wgsl`
${quantizedReader(dtype)}
${integerWgsl(packedDot)}
${epilogueWgsl}
${treeSum(threads)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let col0 = flat_workgroup(wid, nwg) * ${columns}u;
${unroll(vectors, (v) => `  let a_row${v} = min(${v}u, u.m - 1u) * u.groups;`)}
${unroll(columns, (c) => `  let w_row${c} = min(col0 + ${c}u, u.columns - 1u) * u.groups;`)}
${unroll(vectors, (v) => `  var s${v} = vec4<f32>();`)}
  for (var i = li; i < 2u * u.groups; i += ${threads}u) {
    let g = i >> 1u;
${unroll(vectors, (v) => `    let d${v} = a_scale_of(a_row${v} + g); ${load(v)}`)}
#if ${!wide}
${unroll(vectors, (v) => `    let total${v} = d${v} * f32(${sum(v, () => "0x01010101u")});`)}
#endif
${unroll(
  columns,
  (c) => `    {
      let w = quants[2u * w_row${c} + i];
      let s = scale_of(w_row${c} + g);
${unroll(vectors, (v) => `      s${v}[${c}] += s.x * d${v} * f32(${sum(v, w)})${wide ? "" : ` + s.y * total${v}`};`)}
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

export const integerMatvecVariant: Variant<MatmulInputs, MatmulParams> = {
  name: "integer-matvec",
  supports: (inputs, params, { limits }) =>
    isInteger(inputs) &&
    matmulShape(inputs, params).m <= mostVectors &&
    threads <= limits.maxComputeInvocationsPerWorkgroup,
  build(context) {
    const { inputs, params, caps } = context;
    const vectors = matmulShape(inputs, params).m === 1 ? 1 : mostVectors;
    const compiled = matvecKernel(inputs.b.dtype as QuantizedDType, vectors, caps.packedDot);
    return integerDispatches(compiled, context, (_, n) => grid(n, columns));
  },
};
