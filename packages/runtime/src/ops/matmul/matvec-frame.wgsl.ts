import type { DeviceLimits } from "../../capabilities.ts";
import { wgsl } from "../../wgsl.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { unroll } from "./unroll.ts";

/** Threads of a workgroup, side by side along K, and the rows of weights that they share. */
const threads = 128;
export const frameColumns = 4;
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
}

/**
 * The entry point of matrix-vector kernels with quantised weights: a workgroup reads 4 rows of weights once for a few rows
 * of A, a thread half a group of each at a time, and adds the threads' sums in a tree. `code` declares the rest.
 */
export function matvecFrame(vectors: number, code: string, { load, total, unpack, product }: Step): string {
  const columns = frameColumns;
  return wgsl`
${code}
var<workgroup> partial: array<vec4<f32>, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let col0 = flat_workgroup(wid, nwg) * ${columns}u;
${unroll(vectors, (v) => `  let a_row${v} = min(${v}u, u.m - 1u) * u.groups;`)}
${unroll(columns, (c) => `  let w_row${c} = min(col0 + ${c}u, u.columns - 1u) * u.groups;`)}
${unroll(vectors, (v) => `  var s${v} = vec4<f32>();`)}
  for (var i = li; i < 2u * u.groups; i += ${threads}u) {
    let g = i >> 1u;
${unroll(vectors, (v) => `    ${load(v)}`)}
${total ? unroll(vectors, (v) => `    let total${v} = ${total(v)};`) : ""}
${unroll(
  columns,
  (c) => `    {
      let w = quants[2u * w_row${c} + i];
      let s = scale_of(w_row${c} + g);
      ${unpack ?? ""}
${unroll(vectors, (v) => `      s${v}[${c}] += ${product(v)}${total ? ` + s.y * total${v}` : ""};`)}
    }`,
)}
  }
  for (var row = 0u; row < u.m; row++) {
    partial[li] = s0;
    workgroupBarrier();
    for (var n = ${threads / 2}u; n > 0u; n /= 2u) {
      if (li < n) { partial[li] += partial[li + n]; }
      workgroupBarrier();
    }
    if (li < ${columns}u && col0 + li < u.columns) {
      let col = u.column0 + col0 + li;
      finish(row * u.n + col, col, partial[0][li]);
    }
    workgroupBarrier();
${unroll(vectors - 1, (v) => `    s${v} = s${v + 1};`)}
  }
}`;
}

/** Whether the frame takes so many rows of A on such a device. */
export function fitsFrame(inputs: MatmulInputs, params: MatmulParams, limits: DeviceLimits): boolean {
  return matmulShape(inputs, params).m <= mostVectors && threads <= limits.maxComputeInvocationsPerWorkgroup;
}
