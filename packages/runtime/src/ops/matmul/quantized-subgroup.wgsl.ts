import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { quantizedReader, scaleReader } from "../../quantized-reading.ts";
import { wgsl } from "../../wgsl.ts";
import { epilogueWgsl, gatedEpilogueWgsl } from "./epilogue.wgsl.ts";
import { type Fused, fusedOf, suffixOf, wholeGroups } from "./fused.ts";
import {
  hasQuantizedWeights,
  type QuantizedKernel,
  quantizedBindings,
  quantizedDispatches,
  quantizedUniforms,
} from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { fastestRows, type SubgroupRows, subgroupRows } from "./subgroup-rows.ts";
import { unroll } from "./unroll.ts";

const columns = 4;
const components = ["x", "y", "z", "w"] as const;
/** Outputs of a lane of a matrix-vector product: half of its columns may gate the others. */
const matvecOutputs = ({ gated }: Fused): number => (gated ? columns / 2 : columns);

/** WGSL that takes the next word's four quants of column c, whose words are in `w_c`, and moves on. */
function nextQuants(dtype: QuantizedDType, c: number): string {
  const quants = dtype === "q8_0" ? `quants_of(w${c}.x)` : `low_quants(w${c}.x >> shift)`;
  return `let q${c} = weights_of(${quants}, d${c}); w${c} = w${c}.yzwx;`;
}

/**
 * As the subgroup kernel of float weights: a workgroup is one subgroup of S lanes and computes `rows` x 4S outputs, 4
 * columns a lane, in steps of 4 along K. A lane's columns are rows of weights, of which it loads a vec4<u32> each: 16 or
 * 32 weights, so that loads, which are what software adapters wait for, are few. Two rolled loops keep the code small:
 * a step unpacks the lowest word's four weights and turns the words.
 */
function subgroupKernel(dtype: QuantizedDType, rows: number, subgroupSize: number): QuantizedKernel {
  const wide = dtype === "q8_0";
  return kernel({
    name: `matmul-subgroup-${rows}x${columns * subgroupSize}-${dtype}`,
    bindings: quantizedBindings("vec4<u32>"),
    uniforms: quantizedUniforms,
    enable: ["subgroups"],
    code: wgsl`
${quantizedReader(dtype)}
${epilogueWgsl}
@compute @workgroup_size(${subgroupSize})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row0 = wid.y * ${rows}u;
  let col0 = wid.x * ${columns * subgroupSize}u + lane * ${columns}u;
  let row_quads = u.groups * 8u;
${unroll(rows / subgroupSize, (i) => `  let a_row${i} = min(row0 + ${i * subgroupSize}u + lane, u.m - 1u) * row_quads;`)}
${unroll(columns, (c) => `  let w_row${c} = min(col0 + ${c}u, u.columns - 1u) * u.groups;`)}
${unroll(rows, (r) => `  var s${r} = vec4<f32>();`)}
  for (var v = 0u; v < u.groups${wide ? " * 2u" : ""}; v++) {
${unroll(columns, (c) => `    var w${c} = quants[w_row${c}${wide ? " * 2u" : ""} + v]; let d${c} = scale_of(w_row${c} + v${wide ? " / 2u" : ""});`)}
    let end = min((v + 1u) * ${wide ? 4 : 8}u, row_quads);
    for (var k = v * ${wide ? 4 : 8}u; k < end; k++) {
#if ${!wide}
      let shift = k & 4u;
#endif
${unroll(columns, (c) => `      ${nextQuants(dtype, c)}`)}
${unroll(4, (j) => `      let b${j} = vec4<f32>(${[0, 1, 2, 3].map((c) => `q${c}.${components[j]}`).join(", ")});`)}
${unroll(rows / subgroupSize, (i) => `      let a${i} = a[a_row${i} + k];`)}
${unroll(rows, (r) => {
  const sum = components.map((c, j) => `s${r} += r${r}.${c} * b${j};`).join(" ");
  return `      let r${r} = subgroupBroadcast(a${Math.floor(r / subgroupSize)}, ${r % subgroupSize}u); ${sum}`;
})}
    }
  }
  for (var row = row0; row < min(row0 + ${rows}u, u.m); row++) {
    let at = row * u.n + u.column0;
    for (var col = col0; col < min(col0 + ${columns}u, u.columns); col++) {
      finish(at + col, u.column0 + col, s0.x);
      s0 = s0.yzww;
    }
${unroll(rows - 1, (r) => `    s${r} = s${r + 1};`)}
  }
}`,
  });
}

/**
 * One row of A, as in decoding: lanes have 4 columns each as above, and hold a group of A between them, which
 * subgroupBroadcast hands to all. A group's scale multiplies a sum, not weights.
 */
function subgroupMatvecKernel(dtype: QuantizedDType, subgroupSize: number, fused: Fused): QuantizedKernel {
  const { normed, gated } = fused;
  const wide = dtype === "q8_0";
  const outputs = matvecOutputs(fused);
  const up = (c: number) => (c < outputs ? "" : "up_");
  const loads = 8 / subgroupSize;
  const quants = (c: number, quad: number) => {
    const word = `w${c}${wide && quad > 3 ? "b" : ""}.${components[quad % 4]}`;
    if (wide) return `quants_of(${word})`;
    return quad < 4 ? `low_quants(${word})` : `high_quants(${word})`;
  };
  const dots = (c: number) => unroll(8, (i) => `t${c} += x${i} * ${quants(c, i)};`).replaceAll("\n", " ");
  return kernel({
    name: `matvec-subgroup-${columns * subgroupSize}-${dtype}${suffixOf(fused)}`,
    bindings: quantizedBindings("vec4<u32>", fused),
    uniforms: quantizedUniforms,
    enable: ["subgroups"],
    code: wgsl`
${quantizedReader(dtype)}
${gated ? scaleReader(dtype, "up_scale_of", "up_scales") : ""}
${gated ? gatedEpilogueWgsl : epilogueWgsl}
@compute @workgroup_size(${subgroupSize})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(subgroup_invocation_id) lane: u32) {
  let col0 = (flat_workgroup(wid, nwg) * ${subgroupSize}u + lane) * ${outputs}u;
#if ${normed}
  var squares = 0.0;
#endif
${unroll(columns, (c) => `  let w_row${c} = min(col0 + ${c % outputs}u, u.columns - 1u) * u.groups;`)}
  var sums = vec4<f32>();
  for (var g = 0u; g < u.groups; g++) {
#if ${normed}
${unroll(loads, (i) => `    let raw${i} = a[8u * g + ${i * subgroupSize}u + lane]; squares += dot(raw${i}, raw${i}); let a${i} = raw${i} * gain[8u * g + ${i * subgroupSize}u + lane];`)}
#else
${unroll(loads, (i) => `    let a${i} = a[8u * g + ${i * subgroupSize}u + lane];`)}
#endif
${unroll(8, (i) => `    let x${i} = subgroupBroadcast(a${Math.floor(i / subgroupSize)}, ${i % subgroupSize}u);`)}
#if ${!wide}
    let total = dot((x0 + x1 + x2 + x3) + (x4 + x5 + x6 + x7), vec4<f32>(1.0));
#endif
${unroll(
  columns,
  (c) => `    {
      let w${c} = ${up(c)}quants[${wide ? "2u * " : ""}(w_row${c} + g)];
${wide ? `      let w${c}b = ${up(c)}quants[2u * (w_row${c} + g) + 1u];` : ""}
      let s = ${up(c)}scale_of(w_row${c} + g);
      var t${c} = vec4<f32>();
      ${dots(c)}
      sums[${c}] += s.x * dot(t${c}, vec4<f32>(1.0))${wide ? "" : " + s.y * total"};
    }`,
)}
  }
#if ${normed}
  sums *= inverseSqrt(subgroupAdd(squares) / f32(32u * u.groups) + u.eps);
#endif
  for (var col = col0; col < min(col0 + ${outputs}u, u.columns); col++) {
#if ${gated}
    finish_gated(u.column0 + col, sums.x, sums.z);
#else
    finish(u.column0 + col, u.column0 + col, sums.x);
#endif
    sums = sums.yzww;
  }
}`,
  });
}

function runs(inputs: MatmulInputs, caps: { subgroups: boolean; subgroupSize: number }): boolean {
  return (
    hasQuantizedWeights(inputs) && caps.subgroups && (caps.subgroupSize === 4 || caps.subgroupSize === 8)
  );
}

/** For fixed subgroups of 4 or 8 lanes, which are those of software adapters. */
function subgroupVariant(rows: SubgroupRows): Variant<MatmulInputs, MatmulParams> {
  return {
    name: `quantized-subgroup-${rows}`,
    supports: (inputs, _, caps) => runs(inputs, caps),
    prefers: (inputs, params) => rows === fastestRows(matmulShape(inputs, params).m),
    build(context) {
      const { subgroupSize } = context.caps;
      return quantizedDispatches(
        subgroupKernel(context.inputs.b.dtype as QuantizedDType, rows, subgroupSize),
        context,
        (m, n) => [Math.ceil(n / (columns * subgroupSize)), Math.ceil(m / rows)],
      );
    },
  };
}

/** For one row of A. */
export const quantizedSubgroupMatvecVariant: Variant<MatmulInputs, MatmulParams> = {
  name: "quantized-subgroup-matvec",
  supports: (inputs, params, caps) =>
    runs(inputs, caps) && wholeGroups(inputs) && matmulShape(inputs, params).m === 1,
  build(context) {
    const { subgroupSize } = context.caps;
    const fused = fusedOf(context.inputs);
    return quantizedDispatches(
      subgroupMatvecKernel(context.inputs.b.dtype as QuantizedDType, subgroupSize, fused),
      context,
      (_, n) => [Math.ceil(n / (matvecOutputs(fused) * subgroupSize))],
    );
  },
};

export const quantizedSubgroupVariants = subgroupRows.map(subgroupVariant);
