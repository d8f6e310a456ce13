import type { DeviceLimits } from "../../capabilities.ts";
import { wgsl } from "../../wgsl.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { unroll } from "./unroll.ts";

/** Threads of a workgroup, side by side along K, and the rows of weights that they share. */
const threads = 128;
export const frameColumns = 4;
/** Outputs of a workgroup. */
export const frameOutputs = (gated: boolean): number => (gated ? frameColumns / 2 : frameColumns);
export const mostVectors = 8;

/** What is multiplied: WGSL that sees the row of A of vector v as `a_row<v>` and of column c as `w_row<c>`, both in groups. */
interface Step {
  /** Of half group `i` of a row, of group `g`: loads A. */
  readonly load: (v: number) => string;
  /** Of A alone, where weights have a minimum. */
  readonly total?: (v: number) => string;
  /** Takes the weights `w` apart. */
  readonly unpack?: string;
  /** What column c adds to the sum of vector v; `w` and `s` are its quants and `scale_of`. */
  readonly product: (v: number) => string;
  /** Sum of squares of what `load` took of A's row, where rows are normed on the way. */
  readonly squares?: ((v: number) => string) | undefined;
  /** Half of the columns are of `quants`, half of `up_quants`, with `up_scale_of`, which gate them. */
  readonly gated?: boolean;
}

/**
 * The entry point of matrix-vector kernels with quantised weights: a workgroup reads 4 rows of weights once for a few rows
 * of A, a thread half a group of each at a time, and adds the threads' sums in a tree. `code` declares the rest.
 */
export function matvecFrame(vectors: number, code: string, step: Step): string {
  const { load, total, unpack, product, squares, gated = false } = step;
  const columns = frameColumns;
  const outputs = frameOutputs(gated);
  const up = (c: number) => (c < outputs ? "" : "up_");
  return wgsl`
${code}
var<workgroup> partial: array<vec4<f32>, ${threads}>;
#if ${squares !== undefined}
var<workgroup> partial_squares: array<f32, ${threads}>;
#endif
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let col0 = flat_workgroup(wid, nwg) * ${outputs}u;
${unroll(vectors, (v) => `  let a_row${v} = min(${v}u, u.m - 1u) * u.groups;`)}
${unroll(columns, (c) => `  let w_row${c} = min(col0 + ${c % outputs}u, u.columns - 1u) * u.groups;`)}
${unroll(vectors, (v) => `  var s${v} = vec4<f32>();`)}
${squares ? unroll(vectors, (v) => `  var q${v} = 0.0;`) : ""}
  for (var i = li; i < 2u * u.groups; i += ${threads}u) {
    let g = i >> 1u;
${unroll(vectors, (v) => `    ${load(v)}`)}
${squares ? unroll(vectors, (v) => `    q${v} += ${squares(v)};`) : ""}
${total ? unroll(vectors, (v) => `    let total${v} = ${total(v)};`) : ""}
${unroll(
  columns,
  (c) => `    {
      let w = ${up(c)}quants[2u * w_row${c} + i];
      let s = ${up(c)}scale_of(w_row${c} + g);
      ${unpack ?? ""}
${unroll(vectors, (v) => `      s${v}[${c}] += ${product(v)}${total ? ` + s.y * total${v}` : ""};`)}
    }`,
)}
  }
  for (var row = 0u; row < u.m; row++) {
    partial[li] = s0;
#if ${squares !== undefined}
    partial_squares[li] = q0;
#endif
    workgroupBarrier();
    for (var n = ${threads / 2}u; n > 0u; n /= 2u) {
      if (li < n) {
        partial[li] += partial[li + n];
#if ${squares !== undefined}
        partial_squares[li] += partial_squares[li + n];
#endif
      }
      workgroupBarrier();
    }
    if (li < ${outputs}u && col0 + li < u.columns) {
      let col = u.column0 + col0 + li;
#if ${squares !== undefined}
      let sums = partial[0] * inverseSqrt(partial_squares[0] / f32(32u * u.groups) + u.eps);
#else
      let sums = partial[0];
#endif
#if ${gated}
      finish_gated(row * u.n + col, sums[li], sums[li + ${outputs}u]);
#else
      finish(row * u.n + col, col, sums[li]);
#endif
    }
    workgroupBarrier();
${unroll(vectors - 1, (v) => `    s${v} = s${v + 1};${squares ? ` q${v} = q${v + 1};` : ""}`)}
  }
}`;
}

/** Whether the frame takes so many rows of A on such a device. */
export function fitsFrame(inputs: MatmulInputs, params: MatmulParams, limits: DeviceLimits): boolean {
  return matmulShape(inputs, params).m <= mostVectors && threads <= limits.maxComputeInvocationsPerWorkgroup;
}
