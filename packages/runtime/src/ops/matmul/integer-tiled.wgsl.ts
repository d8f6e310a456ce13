import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { wgsl } from "../../wgsl.ts";
import {
  type IntegerKernel,
  integerBindings,
  integerDispatches,
  integerWgsl,
  isInteger,
} from "./integer-dispatches.ts";
import { quantizedUniforms } from "./quantized-dispatches.ts";
import type { MatmulInputs, MatmulParams } from "./spec.ts";
import { unroll } from "./unroll.ts";

/** Threads of a workgroup along both axes; each has 4 x 4 outputs. */
const side = 16;
const perThread = 4;
const size = side * perThread;
const threads = side * side;
const components = ["x", "y", "z", "w"] as const;

/**
 * A workgroup computes 64 x 64 outputs, a group of K at a time, which is two vec4s of bytes a row in workgroup memory: an
 * eighth of what f32 takes. The first threads load rows of A, the others rows of weights, int4 unpacked to bytes.
 */
function tiledKernel(dtype: QuantizedDType, packedDot: boolean): IntegerKernel {
  const wide = dtype === "q8_0";
  const dots = (a: string, b: string, inner: string) =>
    components.reduce((sum, c) => `dot_bytes(${a}.${c}, ${b}.${c}, ${sum})`, inner);
  const ones = (w: string, inner: string) =>
    components.reduce((sum, c) => `dot_bytes(${w}.${c}, 0x01010101u, ${sum})`, inner);
  return kernel({
    name: `matmul-integer-${size}x${size}-${dtype}${packedDot ? "" : "-unpacked"}`,
    bindings: integerBindings("vec4<u32>", "vec4<u32>"),
    uniforms: quantizedUniforms,
    code: wgsl`
var<workgroup> a_tile: array<vec4<u32>, ${2 * size}>;
var<workgroup> b_tile: array<vec4<u32>, ${2 * size}>;
// scales of A and what they are times the quants' sum; d and m of B
var<workgroup> a_scale: array<vec2<f32>, ${size}>;
var<workgroup> b_scale: array<vec2<f32>, ${size}>;
${integerWgsl(dtype, packedDot)}
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let row0 = wid.y * ${size}u;
  let col0 = wid.x * ${size}u;
${unroll(perThread, (r) => `  var s${r} = vec4<f32>();`)}
  for (var g = 0u; g < u.groups; g++) {
    if (li < ${size}u) {
      let at = min(row0 + li, u.m - 1u) * u.groups + g;
      let first = a_quants[2u * at];
      let second = a_quants[2u * at + 1u];
      let d = a_scale_of(at);
      a_tile[li] = first;
      a_tile[${size}u + li] = second;
      a_scale[li] = vec2<f32>(d, ${wide ? "0.0" : `d * f32(${ones("first", ones("second", "0"))})`});
    } else if (li < ${2 * size}u) {
      let col = li - ${size}u;
      let at = min(col0 + col, u.columns - 1u) * u.groups + g;
#if ${wide}
      b_tile[col] = quants[2u * at];
      b_tile[${size}u + col] = quants[2u * at + 1u];
#else
      let w = quants[at];
      b_tile[col] = w & vec4<u32>(0x0f0f0f0fu);
      b_tile[${size}u + col] = (w >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
#endif
      b_scale[col] = scale_of(at);
    }
    workgroupBarrier();
${unroll(4, (c) => `    let b${c} = b_tile[${c * side}u + lid.x]; let e${c} = b_tile[${size + c * side}u + lid.x]; let d${c} = b_scale[${c * side}u + lid.x];`)}
${unroll(
  perThread,
  (r) => `    {
      let a = a_tile[${r * side}u + lid.y];
      let f = a_tile[${size + r * side}u + lid.y];
      let d = a_scale[${r * side}u + lid.y];
      let dots = vec4<i32>(${[0, 1, 2, 3].map((c) => dots("a", `b${c}`, dots("f", `e${c}`, "0"))).join(", ")});
      s${r} += d.x * vec4<f32>(d0.x, d1.x, d2.x, d3.x) * vec4<f32>(dots)${wide ? "" : " + d.y * vec4<f32>(d0.y, d1.y, d2.y, d3.y)"};
    }`,
)}
    workgroupBarrier();
  }
  for (var row = row0 + lid.y; row < min(row0 + ${size}u, u.m); row += ${side}u) {
    let at = row * u.n + u.column0;
    for (var col = col0 + lid.x; col < min(col0 + ${size}u, u.columns); col += ${side}u) {
      finish(at + col, u.column0 + col, s0.x);
      s0 = s0.yzww;
    }
${unroll(perThread - 1, (r) => `    s${r} = s${r + 1};`)}
  }
}`,
  });
}

export const integerTiledVariant: Variant<MatmulInputs, MatmulParams> = {
  name: "integer-tiled",
  supports: (inputs, _, { limits }) =>
    isInteger(inputs) && threads <= limits.maxComputeInvocationsPerWorkgroup,
  build: (context) =>
    integerDispatches(
      tiledKernel(context.inputs.b.dtype as QuantizedDType, context.caps.packedDot),
      context,
      (m, n) => [Math.ceil(n / size), Math.ceil(m / size)],
    ),
};
