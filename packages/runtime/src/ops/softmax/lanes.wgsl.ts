import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { online } from "./online.wgsl.ts";
import { type SoftmaxInputs, softmaxShape } from "./spec.ts";

/** Rows of a workgroup: four of any width are whole vec4s. */
const rowsAtOnce = 4;

/**
 * A subgroup, which is the workgroup, for four rows that follow each other: everything is read and written as vec4s, also
 * where rows begin within one. No barrier and no workgroup memory.
 */
function lanesKernel(lanes: number) {
  return kernel({
    name: `softmax-lanes-${lanes}`,
    bindings: { x: read("vec4<f32>"), y: write("vec4<f32>") },
    uniforms: { rows: "u32", width: "u32" },
    enable: ["subgroups"],
    code: wgsl`
${online}
/** What belongs to the row of each element at places \`at\` of the four rows. */
fn of_row(values: vec4<f32>, at: vec4<u32>) -> vec4<f32> {
  let first = select(vec4<f32>(values.x), vec4<f32>(values.y), at >= vec4<u32>(u.width));
  let second = select(vec4<f32>(values.z), vec4<f32>(values.w), at >= vec4<u32>(3u * u.width));
  return select(first, second, at >= vec4<u32>(2u * u.width));
}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(subgroup_invocation_id) lane: u32) {
  let row0 = flat_workgroup(wid, nwg) * ${rowsAtOnce}u;
  if (row0 >= u.rows) { return; }
  let count = min(${rowsAtOnce}u, u.rows - row0);
  let base = row0 / 4u * u.width;
  let places = vec4<u32>(0u, 1u, 2u, 3u);
  var largest = vec4<f32>(masked);
  var total = vec4<f32>(0.0);
  for (var row = 0u; row < count; row++) {
    let begin = row * u.width;
    let end = begin + u.width;
    var s = Stats(masked, 0.0);
    for (var q = begin / 4u + lane; 4u * q < end; q += ${lanes}u) {
      let at = 4u * q + places;
      let inside = (at >= vec4<u32>(begin)) & (at < vec4<u32>(end));
      let v = select(vec4<f32>(masked), x[base + q], inside);
      let top = max(s.largest, max(max(v.x, v.y), max(v.z, v.w)));
      let weights = select(exp(v - top), vec4<f32>(0.0), v <= vec4<f32>(masked));
      s = Stats(top, s.total * exp(s.largest - top) + dot(weights, vec4<f32>(1.0)));
    }
    let top = subgroupMax(s.largest);
    let sum = subgroupAdd(s.total * exp(s.largest - top));
    let here = vec4<u32>(row) == places;
    largest = select(largest, vec4<f32>(top), here);
    total = select(total, vec4<f32>(sum), here);
  }
  for (var q = lane; 4u * q < count * u.width; q += ${lanes}u) {
    let at = 4u * q + places;
    let v = x[base + q];
    let weights = select(exp(v - of_row(largest, at)), vec4<f32>(0.0), v <= vec4<f32>(masked));
    let sums = of_row(total, at);
    y[base + q] = select(weights / sums, vec4<f32>(0.0), sums == vec4<f32>(0.0));
  }
}`,
  });
}

/** For subgroups of one size. Preferred where they are small, as those of software adapters, which run barriers slowly. */
export const lanesVariant: Variant<SoftmaxInputs, Record<string, never>> = {
  name: "lanes",
  supports: (_, __, { subgroups, subgroupSize }) => subgroups && subgroupSize >= 4 && subgroupSize <= 128,
  prefers: (_, __, { subgroupSize }) => subgroupSize === 4 || subgroupSize === 8,
  build({ inputs: { x }, outputs, caps }) {
    const { rows, width } = softmaxShape({ x });
    const parts = { x: { tensor: x, width }, y: { tensor: outputs[0] as Tensor, width } };
    // a window ends within a vec4 only where the tensor does: else rows of odd width come in multiples of 32
    return rowWindows(rows, Object.values(parts), caps).map((w) =>
      dispatch(
        lanesKernel(caps.subgroupSize),
        { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w) },
        { rows: w.count, width },
        grid(w.count, rowsAtOnce),
      ),
    );
  },
};
