import { type Dispatch, dispatch, grid, type Kernel, kernel, read, write } from "../../kernel.ts";
import type { BuildContext, Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { online } from "./online.wgsl.ts";
import { type SoftmaxInputs, softmaxShape } from "./spec.ts";

type NoParams = Record<string, never>;
type SoftmaxKernel = Kernel<"x" | "y", "rows" | "width">;

const bindings = { x: read("f32"), y: write("f32") };
const uniforms = { rows: "u32", width: "u32" } as const;

const rowWorkgroup = 64;

const rowKernel = kernel({
  name: "softmax-row",
  bindings,
  uniforms,
  code: wgsl`
${online}
@compute @workgroup_size(${rowWorkgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = flat_invocation(gid, nwg, ${rowWorkgroup}u);
  if (row >= u.rows) { return; }
  let begin = row * u.width;
  var s = Stats(masked, 0.0);
  for (var i = begin; i < begin + u.width; i++) { s = add_value(s, x[i]); }
  for (var i = begin; i < begin + u.width; i++) { y[i] = quotient(weight(x[i], s.largest), s.total); }
}`,
});

function teamKernel(threads: number) {
  return kernel({
    name: `softmax-team-${threads}`,
    bindings,
    uniforms,
    code: wgsl`
var<workgroup> largest: array<f32, ${threads}>;
var<workgroup> total: array<f32, ${threads}>;
${online}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let row = flat_workgroup(wid, nwg);
  if (row >= u.rows) { return; }
  let begin = row * u.width;
  var s = Stats(masked, 0.0);
  for (var i = begin + li; i < begin + u.width; i += ${threads}u) { s = add_value(s, x[i]); }
  largest[li] = s.largest;
  total[li] = s.total;
  for (var half = ${threads / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (li < half) {
      let m = max(largest[li], largest[li + half]);
      total[li] = total[li] * exp(largest[li] - m) + total[li + half] * exp(largest[li + half] - m);
      largest[li] = m;
    }
  }
  workgroupBarrier();
  let m = largest[0];
  let sum = total[0];
  for (var i = begin + li; i < begin + u.width; i += ${threads}u) { y[i] = quotient(weight(x[i], m), sum); }
}`,
  });
}

function build(
  compiled: SoftmaxKernel,
  rowsPerWorkgroup: number,
  { inputs: { x }, outputs, caps }: BuildContext<SoftmaxInputs, NoParams>,
): Dispatch[] {
  const { rows, width } = softmaxShape({ x });
  const parts = { x: { tensor: x, width }, y: { tensor: outputs[0] as Tensor, width } };
  return rowWindows(rows, Object.values(parts), caps).map((w) =>
    dispatch(
      compiled,
      { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w) },
      { rows: w.count, width },
      grid(w.count, rowsPerWorkgroup),
    ),
  );
}

/** A thread for each row: short rows, of which there are many. */
export const rowVariant: Variant<SoftmaxInputs, NoParams> = {
  name: "row",
  supports: (inputs) => softmaxShape(inputs).width <= 32,
  build: (context) => build(rowKernel, rowWorkgroup, context),
};

const teamThreads = 128;

/** A workgroup for each row: any width. */
export const teamVariant: Variant<SoftmaxInputs, NoParams> = {
  name: "team",
  supports: () => true,
  build: (context) => build(teamKernel(teamThreads), 1, context),
};
