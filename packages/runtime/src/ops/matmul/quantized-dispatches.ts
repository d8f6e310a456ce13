import {
  type Dispatch,
  dispatch,
  grid,
  type Kernel,
  kernel,
  read,
  type UniformType,
  write,
} from "../../kernel.ts";
import type { BuildContext } from "../../op.ts";
import { isQuantized, type QuantizedDType, quantGroup, quantizedLayout } from "../../quantized.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { quantizedWindows, type Rows, type RowWindow, rowsOf, rowWindows } from "../../windows.ts";
import {
  epilogueBindings,
  epilogueUniforms,
  epilogueValues,
  gatedEpilogueBindings,
} from "./epilogue.wgsl.ts";
import { type Fused, plain } from "./fused.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

/** Bindings of every kernel with quantised weights; `quants` as words or vectors of them. */
export const quantizedBindings = (quants: string, { normed, gated }: Fused = plain) => ({
  a: read("vec4<f32>"),
  quants: read(quants),
  scales: read("u32"),
  ...(gated ? gatedEpilogueBindings : epilogueBindings),
  gain: normed ? read("vec4<f32>") : undefined,
  up_quants: gated ? read(quants) : undefined,
  up_scales: gated ? read("u32") : undefined,
});

/** Uniforms of every kernel with quantised weights: `groups` a row, else as in dispatches.ts. */
export const quantizedUniforms = {
  m: "u32",
  n: "u32",
  groups: "u32",
  columns: "u32",
  column0: "u32",
  ...epilogueUniforms,
} as const satisfies Record<string, UniformType>;

export type QuantizedKernel = Kernel<
  keyof ReturnType<typeof quantizedBindings>,
  keyof typeof quantizedUniforms
>;

/** The uniforms of a window of rows of A, and of the weights, which are columns of the product. */
export function partValues(rows: RowWindow, columns: RowWindow) {
  return { m: rows.count, columns: columns.count, column0: columns.start };
}

/** Whether the weights alone are quantised. */
export function hasQuantizedWeights({ a, b }: MatmulInputs): boolean {
  return a.dtype === "f32" && isQuantized(b.dtype);
}

const workgroup = 64;

/** Rows of A with zeros up to whole groups: what pads a row of weights stands for nothing. */
const padKernel = kernel({
  name: "matmul-pad-rows",
  bindings: { a: read("f32"), y: write("f32") },
  uniforms: { count: "u32", width: "u32", padded: "u32" },
  code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.count) { return; }
  let k = i % u.padded;
  var v = 0.0;
  if (k < u.width) { v = a[i / u.padded * u.width + k]; }
  y[i] = v;
}`,
});

/**
 * The dispatches of a product with quantised weights [N, K]: one, or one for each window of rows of A and of the weights.
 * A whose rows are no whole groups are padded first, so that kernels know nothing else. `workgroups` gives the grid for
 * so many rows and columns.
 */
export function quantizedDispatches(
  compiled: QuantizedKernel,
  { inputs, outputs, params, caps, scratch }: BuildContext<MatmulInputs, MatmulParams>,
  workgroups: (rows: number, columns: number) => readonly [number, number?, number?],
): Dispatch[] {
  const { a, b, bias, residual, gain, up } = inputs;
  const { m, n, k } = matmulShape(inputs, params);
  const { groups } = quantizedLayout(b.shape, b.dtype as QuantizedDType);
  const padded = groups * quantGroup;
  const dispatches: Dispatch[] = [];
  const rowsOfA = { tensor: a, width: k };
  let whole: Rows = rowsOfA;
  if (padded !== k) {
    whole = { tensor: scratch({ shape: [m, padded], dtype: "f32" }), width: padded };
    for (const w of rowWindows(m, [rowsOfA, whole], caps)) {
      const count = w.count * padded;
      dispatches.push(
        dispatch(
          padKernel,
          { a: rowsOf(rowsOfA, w), y: rowsOf(whole, w) },
          { count, width: k, padded },
          grid(count, workgroup),
        ),
      );
    }
  }
  const y = { tensor: outputs[0] as Tensor, width: n };
  const added = { tensor: residual ?? a, width: residual ? n : k };
  const columnWindows = quantizedWindows(b, caps);
  const upWindows = up && quantizedWindows(up, caps);
  for (const rows of rowWindows(m, [whole, y, ...(residual ? [added] : [])], caps)) {
    for (const [i, columns] of columnWindows.entries()) {
      const bound = rowsOf(whole, rows);
      dispatches.push(
        dispatch(
          compiled,
          {
            a: bound,
            quants: columns.quants,
            scales: columns.scales,
            y: rowsOf(y, rows),
            bias: bias ?? bound,
            residual: residual ? rowsOf(added, rows) : bound,
            gain,
            up_quants: upWindows?.[i]?.quants,
            up_scales: upWindows?.[i]?.scales,
          },
          { n, groups, ...partValues(rows, columns), ...epilogueValues(params, inputs) },
          workgroups(rows.count, columns.count),
        ),
      );
    }
  }
  return dispatches;
}
