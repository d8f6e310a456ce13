import { type Dispatch, dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { BuildContext, Variant } from "../../op.ts";
import { type ReductionMode, reduction, reductionThreads } from "../../reduction.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type ReduceElement, reduceElement } from "./element.wgsl.ts";
import { asRows, type ReduceInputs, type ReduceParams } from "./spec.ts";

function rowsKernel(element: ReduceElement, mode: ReductionMode, wide: boolean, threads: number) {
  const { name, type, operation, code } = element;
  const reduce = reduction(mode, type, operation, threads);
  return kernel({
    name: `reduce-${name}-rows-${mode}-${wide ? "vec4" : "scalar"}`,
    bindings: { x: read(wide ? "vec4<f32>" : "f32"), y: write("f32") },
    uniforms: { groups: "u32", parts: "u32", items: "u32", chunk: "u32", scale: "f32" },
    enable: reduce.enable,
    code: wgsl`
${code}
${reduce.code}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, ${reduce.parameters}) {
  let group = flat_workgroup(wid, nwg);
  if (group >= u.groups) { return; }
  let base = (group / u.parts) * u.items;
  let start = (group % u.parts) * u.chunk;
  let end = min(start + u.chunk, u.items);
  var all = ${type}();
  for (var i = start + li; i < end; i += ${threads}u) {
    let v = x[base + i];
#if ${wide}
    all = combine(all, combine(combine(lift(v.x), lift(v.y)), combine(lift(v.z), lift(v.w))));
#else
    all = combine(all, lift(v));
#endif
  }
  let result = reduce(all, ${reduce.thread});
  if (li == 0u) { y[group] = lower(result); }
}`,
  });
}

/** Elements that one workgroup takes of a long row, where rows alone are too few to fill a GPU. */
const partWidth = 16384;

function build(
  mode: ReductionMode,
  wide: boolean,
  { inputs: { x }, outputs, params, caps, scratch }: BuildContext<ReduceInputs, ReduceParams>,
): Dispatch[] {
  const shape = asRows(x, params);
  if (!shape) return [];
  const { rows, width } = shape;
  const element = reduceElement[params.kind];
  const scale = params.kind === "mean" ? 1 / width : 1;
  const per = wide ? 4 : 1;
  const y = outputs[0] as Tensor;
  const k = rowsKernel(element, mode, wide, reductionThreads(width, caps));
  if (rows < 64 && width > 2 * partWidth) {
    const parts = Math.ceil(width / partWidth);
    const partial = scratch({ shape: [rows, parts], dtype: "f32" });
    const groups = rows * parts;
    return [
      dispatch(
        k,
        { x, y: partial },
        { groups, parts, items: width / per, chunk: partWidth / per, scale: 1 },
        grid(groups),
      ),
      dispatch(
        rowsKernel(element, mode, false, 64),
        { x: partial, y },
        { groups: rows, parts: 1, items: parts, chunk: parts, scale },
        grid(rows),
      ),
    ];
  }
  const tensors = { x: { tensor: x, width }, y: { tensor: y, width: 1 } };
  return rowWindows(rows, Object.values(tensors), caps).map((w) =>
    dispatch(
      k,
      { x: rowsOf(tensors.x, w), y: rowsOf(tensors.y, w) },
      { groups: w.count, parts: 1, items: width / per, chunk: width / per, scale },
      grid(w.count),
    ),
  );
}

/** A workgroup a row, for innermost axes. */
export const rowsVariants: readonly Variant<ReduceInputs, ReduceParams>[] = (
  ["subgroup", "workgroup"] as const
).flatMap((mode) =>
  [true, false].map((wide) => ({
    name: `rows-${mode}-${wide ? "vec4" : "scalar"}`,
    supports({ x }, params, caps) {
      const shape = asRows(x, params);
      return (
        shape !== undefined && (!wide || shape.width % 4 === 0) && (mode === "workgroup" || caps.subgroups)
      );
    },
    prefers: ({ x }, params, { subgroupSize }) => {
      const { rows, width } = asRows(x, params) ?? { rows: 0, width: 0 };
      // software adapters run the threads of a workgroup one subgroup after another: many short rows go a thread each
      const software = subgroupSize === 4 || subgroupSize === 8;
      return !(software && rows >= 64 && width <= 1024);
    },
    build: (context) => build(mode, wide, context),
  })),
);
