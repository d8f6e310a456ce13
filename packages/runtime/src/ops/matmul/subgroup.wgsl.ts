import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, floatStorages } from "../../reading.ts";
import { wgsl } from "../../wgsl.ts";
import { type MatmulKernel, matmulDispatches, matmulUniforms, vec4Aligned } from "./dispatches.ts";
import { epilogueBindings, epilogueWgsl } from "./epilogue.wgsl.ts";
import { operand, withinK } from "./operand.wgsl.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { fastestRows, type SubgroupRows, subgroupRows } from "./subgroup-rows.ts";
import { unroll } from "./unroll.ts";

interface Spec {
  readonly aStorage: FloatStorage;
  readonly storage: FloatStorage;
  readonly transposeB: boolean;
  readonly aligned: { readonly a: boolean; readonly b: boolean };
  readonly rows: number;
  readonly subgroupSize: number;
}

const components = ["x", "y", "z", "w"] as const;

/**
 * A workgroup is one subgroup and computes `rows` x 4S outputs, 4 columns a lane, in steps of 4 along K. Each lane loads
 * rows/S vec4s of A, which subgroupBroadcast hands to all, and 4 vec4s of B: along K where B is transposed, to be
 * transposed between registers, which costs nothing where a vector register holds one component of all lanes. Meant for
 * software adapters, where a load costs as much as tens of multiply-adds. The rows are unrolled, as the sums have to stay
 * in registers; the epilogue is rolled (the sums are shifted down by a row each time), as store sites cost compile time.
 */
function subgroupKernel(spec: Spec): MatmulKernel {
  const { aStorage, storage, transposeB, aligned, rows, subgroupSize } = spec;
  const a = operand("a", aStorage, aligned.a);
  const b = operand("b", storage, aligned.b);
  const inK = (v: string, j: number) => (aligned.a ? v : `select(vec4<f32>(), ${v}, k + ${j}u < u.k)`);
  const suffix = (aligned.a ? "" : "-a") + (aligned.b ? "" : "-b");
  return kernel({
    name: `matmul-subgroup-${rows}x${4 * subgroupSize}-${aStorage === "f32" ? "" : `${aStorage}-by-`}${storage}${transposeB ? "T" : ""}${suffix}`,
    bindings: { a: a.decl, b: b.decl, ...epilogueBindings },
    uniforms: matmulUniforms,
    enable: ["subgroups", ...b.enable],
    code: wgsl`
${a.code}
${b.code}
${withinK(aligned.a)}
${epilogueWgsl}
@compute @workgroup_size(${subgroupSize})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let row0 = wid.y * ${rows}u;
  let col0 = wid.x * ${4 * subgroupSize}u + lane * 4u;
  let a_base = wid.z * u.m * u.k;
  let b_base = wid.z * u.stride_b;
${unroll(rows / subgroupSize, (i) => `let a_row${i} = a_base + min(row0 + ${i * subgroupSize}u + lane, u.m - 1u) * u.k;`)}
#if ${transposeB}
${unroll(4, (c) => `let b_row${c} = b_base + min(col0 + ${c}u, u.columns - 1u) * u.k;`)}
#endif
${unroll(rows, (r) => `var s${r} = vec4<f32>();`)}
  for (var k = 0u; k < u.k; k += 4u) {
${unroll(rows / subgroupSize, (i) => `let a${i} = within_k(a_at(a_row${i} + k), k);`)}
#if ${transposeB}
${unroll(4, (c) => `let column${c} = within_k(b_at(b_row${c} + k), k);`)}
${unroll(4, (j) => `let b${j} = vec4<f32>(${[0, 1, 2, 3].map((c) => `column${c}.${components[j]}`).join(", ")});`)}
#else
${unroll(4, (j) => `let b${j} = ${inK(`b_at(b_base + (k + ${j}u) * u.n + col0)`, j)};`)}
#endif
${unroll(rows, (r) => {
  const sum = components.map((c, j) => `s${r} += r${r}.${c} * b${j};`).join(" ");
  return `let r${r} = subgroupBroadcast(a${Math.floor(r / subgroupSize)}, ${r % subgroupSize}u); ${sum}`;
})}
  }
  for (var row = row0; row < min(row0 + ${rows}u, u.m); row++) {
    let at = (wid.z * u.m + row) * u.n + u.column0;
    for (var col = col0; col < min(col0 + 4u, u.columns); col++) {
      finish(at + col, u.column0 + col, s0.x);
      s0 = s0.yzww;
    }
${unroll(rows - 1, (r) => `s${r} = s${r + 1};`)}
  }
}`,
  });
}

/** Unaligned loads are what 32 rows wait for and what takes 1 s to compile: 8 rows are as fast there, in half of that. */
function rowsFor(inputs: MatmulInputs, params: MatmulParams): readonly SubgroupRows[] {
  const { a, b } = vec4Aligned(inputs, params);
  return a && b ? subgroupRows : [8];
}

/** For fixed subgroups of 4 or 8 lanes, which are those of software adapters. */
function subgroupVariant(storage: FloatStorage, rows: SubgroupRows): Variant<MatmulInputs, MatmulParams> {
  return {
    name: `subgroup-${rows}-${storage}`,
    supports: (inputs, params, caps) =>
      caps.subgroups &&
      rowsFor(inputs, params).includes(rows) &&
      (caps.subgroupSize === 4 || caps.subgroupSize === 8) &&
      floatStorages(inputs.b.dtype, caps).includes(storage),
    prefers: (inputs, params) => rows === fastestRows(matmulShape(inputs, params).m, rowsFor(inputs, params)),
    build(context) {
      const { inputs, params, caps } = context;
      const { subgroupSize } = caps;
      const { transposeB } = params;
      const aligned = vec4Aligned(inputs, params);
      const aStorage = inputs.a.dtype === "f16" ? "packed" : "f32";
      return matmulDispatches(
        subgroupKernel({ aStorage, storage, transposeB, aligned, rows, subgroupSize }),
        context,
        (m, n, batch) => [Math.ceil(n / (4 * subgroupSize)), Math.ceil(m / rows), batch],
      );
    },
  };
}

const storages: FloatStorage[] = ["f32", "packed"];

export const subgroupVariants = storages.flatMap((storage) =>
  subgroupRows.map((rows) => subgroupVariant(storage, rows)),
);
