import { grid, kernel, read } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { FloatStorage, Reader } from "../../reading.ts";
import { wgsl } from "../../wgsl.ts";
import { type MatmulKernel, matmulDispatches, matmulUniforms } from "./dispatches.ts";
import { epilogueBindings, epilogueWgsl, gatedEpilogueBindings, gatedEpilogueWgsl } from "./epilogue.wgsl.ts";
import { type Fused, fusedOf, suffixOf } from "./fused.ts";
import { operand, withinK } from "./operand.wgsl.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { unroll } from "./unroll.ts";

interface Spec {
  readonly storage: Exclude<FloatStorage, "f16">;
  /** Rows of A at most: 1 or 4. */
  readonly vectors: number;
  /** Rows of B that one workgroup multiplies. */
  readonly columns: number;
  readonly aligned: boolean;
  /** Lanes that share the sums: a whole subgroup, which is then the workgroup, or a workgroup without subgroups. */
  readonly lanes: number;
  readonly subgroups: boolean;
  /** Where it is gated, half of `columns` are rows of B, half are the rows of `up` beside them. */
  readonly fused: Fused;
}

const range = (n: number): number[] => [...Array(n).keys()];

/** Halves are read 8 at a time where rows allow it: a vec4<u32> load costs a software adapter what a vec2<u32> does. */
function weights(name: string, storage: Spec["storage"], aligned: boolean): Reader & { step: number } {
  if (storage === "f32" || !aligned) return { ...operand(name, storage, aligned), step: 4 };
  return { decl: read("vec4<u32>"), code: "", enable: [], step: 8 };
}

/**
 * Y = X Wᵀ for a few rows of X: each workgroup reads `columns` rows of W once, its lanes side by side along K, and adds
 * the lanes' sums at the end. W is read as f32 or as packed halves: with `shader-f16` reading array<f16> was no faster.
 * An RMS norm of X is a gain on the way and a factor of the sums, as each workgroup sees whole rows of X.
 */
function matvecKernel(spec: Spec): MatmulKernel {
  const { storage, vectors, columns, aligned, lanes, subgroups } = spec;
  const { normed, gated } = spec.fused;
  const a = operand("a", "f32", aligned);
  const b = weights("b", storage, aligned);
  const up = weights("up", storage, aligned);
  const gain = operand("gain", "f32", aligned);
  /** Outputs of a row, and which matrix and output a column is of. */
  const outputs = gated ? columns / 2 : columns;
  const matrix = (c: number) => (c < outputs ? "b" : "up");
  const sums = range(vectors).flatMap((v) => range(columns).map((c) => `s${v}_${c}`));
  const add = (c: number, x: string, w: string) =>
    unroll(vectors, (v) => `      s${v}_${c} += ${x}${v} * ${w};`);
  const halves = (pair: string) => `vec4<f32>(unpack2x16float(w.${pair[0]}), unpack2x16float(w.${pair[1]}))`;
  const total = (c: number) => `dot(s0_${c}, vec4<f32>(1.0))`;
  const shift = unroll(
    vectors - 1,
    (v) =>
      `${unroll(columns, (c) => `    s${v}_${c} = s${v + 1}_${c};`)}${normed ? ` q${v} = q${v + 1};` : ""}`,
  );
  /** Loads the vec4 of X at `k` + `offset` as NAMEv, and norms it but for the row's factor. */
  const load = (name: string, offset: number) => {
    const k = offset ? `k + ${offset}u` : "k";
    const masked = (value: string) => (b.step === 8 ? value : `within_k(${value}, k)`);
    const gained = normed ? `    let g${name} = ${masked(`gain_at(${k})`)};\n` : "";
    const one = (v: number) =>
      normed
        ? `    var ${name}${v} = ${masked(`a_at(x_row${v} + ${k})`)}; q${v} += dot(${name}${v}, ${name}${v}); ${name}${v} *= g${name};`
        : `    let ${name}${v} = ${masked(`a_at(x_row${v} + ${k})`)};`;
    return `${gained}${unroll(vectors, one)}`;
  };
  return kernel({
    name: `matvec-${subgroups ? "subgroup" : "workgroup"}-${vectors}x${columns}-${storage}${aligned ? "" : "-unaligned"}${suffixOf(spec.fused)}`,
    bindings: {
      a: a.decl,
      b: b.decl,
      ...(gated ? gatedEpilogueBindings : epilogueBindings),
      gain: normed ? gain.decl : undefined,
      up: gated ? up.decl : undefined,
    },
    uniforms: matmulUniforms,
    enable: [...(subgroups ? ["subgroups"] : []), ...b.enable],
    code: wgsl`
${a.code}
${b.code}
${normed ? gain.code : ""}
${gated ? up.code : ""}
${withinK(aligned)}
${gated ? gatedEpilogueWgsl : epilogueWgsl}
#if ${!subgroups}
var<workgroup> partial: array<f32, ${lanes * (columns + (normed ? 1 : 0))}>;
#endif
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(${subgroups ? "subgroup_invocation_id" : "local_invocation_index"}) lane: u32) {
  let col0 = flat_workgroup(vec3u(wid.xy, 0u), nwg) * ${outputs}u;
  let b_base = wid.z * u.stride_b;
${unroll(vectors, (v) => `  let x_row${v} = (wid.z * u.m + min(${v}u, u.m - 1u)) * u.k;`)}
${unroll(columns, (c) => `  let w_row${c} = b_base + min(col0 + ${c % outputs}u, u.columns - 1u) * u.k;`)}
${normed ? unroll(vectors, (v) => `  var q${v} = 0.0;`) : ""}
${sums.map((s) => `  var ${s} = vec4<f32>();`).join("\n")}
  for (var k = lane * ${b.step}u; k < u.k; k += ${lanes * b.step}u) {
#if ${b.step === 8}
${load("x", 0)}
${load("z", 4)}
${unroll(columns, (c) => `    { let w = ${matrix(c)}[(w_row${c} + k) >> 3u];\n      let low = ${halves("xy")};\n      let high = ${halves("zw")};\n${add(c, "x", "low")}\n${add(c, "z", "high")} }`)}
#else
${load("x", 0)}
${unroll(columns, (c) => `    { let w = within_k(${matrix(c)}_at(w_row${c} + k), k);\n${add(c, "x", "w")} }`)}
#endif
  }
  for (var row = 0u; row < u.m; row++) {
    let at = (wid.z * u.m + row) * u.n + u.column0;
    var sum = 0.0;
#if ${gated}
    var other = 0.0;
#endif
#if ${normed}
    var squares = ${subgroups ? "subgroupAdd(q0)" : "0.0"};
#endif
#if ${subgroups}
${unroll(columns, (c) => {
  const into = c < outputs ? "sum" : "other";
  return `    { let t = subgroupAdd(${total(c)}); ${into} = select(${into}, t, lane == ${c % outputs}u); }`;
})}
#else
${unroll(columns, (c) => `    partial[${c * lanes}u + lane] = ${total(c)};`)}
#if ${normed}
    partial[${columns * lanes}u + lane] = q0;
#endif
    workgroupBarrier();
    if (lane < ${outputs}u) {
      for (var i = 0u; i < ${lanes}u; i++) {
        sum += partial[lane * ${lanes}u + i];
#if ${gated}
        other += partial[(lane + ${outputs}u) * ${lanes}u + i];
#endif
#if ${normed}
        squares += partial[${columns * lanes}u + i];
#endif
      }
    }
    workgroupBarrier();
#endif
#if ${normed}
    let factor = inverseSqrt(squares / f32(u.k) + u.eps);
    sum *= factor;
#endif
#if ${normed && gated}
    other *= factor;
#endif
    if (lane < ${outputs}u && col0 + lane < u.columns) {
#if ${gated}
      finish_gated(at + col0 + lane, sum, other);
#else
      finish(at + col0 + lane, u.column0 + col0 + lane, sum);
#endif
    }
${shift}
  }
}`,
  });
}

/** Rows of A at most. */
const mostVectors = 4;

function matvecVariant(storage: Spec["storage"], subgroups: boolean): Variant<MatmulInputs, MatmulParams> {
  return {
    name: `matvec-${subgroups ? "subgroup" : "workgroup"}-${storage}`,
    supports(inputs, params, caps) {
      const { m } = matmulShape(inputs, params);
      return (
        inputs.a.dtype === "f32" &&
        inputs.b.dtype === (storage === "f32" ? "f32" : "f16") &&
        params.transposeB &&
        m <= mostVectors &&
        (!subgroups || (caps.subgroups && caps.subgroupSize >= 4 && caps.subgroupSize <= 128))
      );
    },
    // in small subgroups the 8-row product is as fast for 2 rows and faster for 4, and shares its pipeline
    prefers: (inputs, params, { subgroupSize }) =>
      matmulShape(inputs, params).m === 1 || !(subgroupSize === 4 || subgroupSize === 8),
    build(context) {
      const { inputs, params, caps } = context;
      const { m, k } = matmulShape(inputs, params);
      const lanes = subgroups ? caps.subgroupSize : 64;
      // more rows of W a lane hide more of a load's cost, where halves make loads few; more sums cost compile time
      const columns = storage === "packed" && lanes >= 8 && m === 1 ? 8 : 4;
      const fused = fusedOf(inputs);
      const aligned = k % (storage === "packed" ? 8 : 4) === 0;
      const spec: Spec = {
        storage,
        vectors: m === 1 ? 1 : mostVectors,
        columns,
        aligned,
        lanes,
        subgroups,
        fused,
      };
      const outputs = fused.gated ? columns / 2 : columns;
      return matmulDispatches(matvecKernel(spec), context, (_, n, batch) => [...grid(n, outputs), batch]);
    },
  };
}

/** For M up to 4, as in decoding, where the weights are what has to be read. */
export const matvecVariants = [true, false].flatMap((subgroups) => [
  matvecVariant("f32", subgroups),
  matvecVariant("packed", subgroups),
]);
