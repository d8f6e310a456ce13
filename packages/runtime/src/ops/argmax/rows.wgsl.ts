import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { orderedKeyWgsl } from "../../ordered-key.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import type { ArgmaxInputs, ArgmaxParams } from "./spec.ts";

const threads = 256;
const few = 16;

/** (key, index): the larger key wins, then the lower index. */
const better = wgsl`
fn better(a: vec2<u32>, b: vec2<u32>) -> vec2<u32> {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}`;

/** A workgroup finds the best of one part of a row: its index where a row is one part, else (key, index). */
function scanKernel(whole: boolean) {
  return kernel({
    name: `argmax-${whole ? "row" : "part"}`,
    bindings: { x: read("f32"), y: write(whole ? "u32" : "vec2<u32>") },
    uniforms: { groups: "u32", width: "u32", parts: "u32", chunk: "u32" },
    code: wgsl`
${orderedKeyWgsl}
${better}
var<workgroup> all: array<vec2<u32>, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let group = flat_workgroup(wid, nwg);
  if (group >= u.groups) { return; }
  let base = (group / u.parts) * u.width;
  let start = (group % u.parts) * u.chunk;
  let end = min(start + u.chunk, u.width);
  var best = vec2<u32>(0u, 0xffffffffu);
  for (var i = start + li; i < end; i += ${threads}u) { best = better(best, vec2<u32>(key_of(x[base + i]), i)); }
  all[li] = best;
  workgroupBarrier();
  if (li < ${few}u) {
    for (var i = li + ${few}u; i < ${threads}u; i += ${few}u) { best = better(best, all[i]); }
    all[li] = best;
  }
  workgroupBarrier();
  if (li == 0u) {
    for (var i = 1u; i < ${few}u; i++) { best = better(best, all[i]); }
    y[group] = best${whole ? ".y" : ""};
  }
}`,
  });
}

const joinKernel = kernel({
  name: "argmax-join",
  bindings: { best_of_part: read("vec2<u32>"), y: write("u32") },
  uniforms: { rows: "u32", parts: "u32" },
  code: wgsl`
${better}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let row = flat_invocation(gid, nwg, 64u);
  if (row >= u.rows) { return; }
  var best = best_of_part[row * u.parts];
  for (var p = 1u; p < u.parts; p++) { best = better(best, best_of_part[row * u.parts + p]); }
  y[row] = best.y;
}`,
});

/** A workgroup a row, in windows of rows. */
export const rowVariant: Variant<ArgmaxInputs, ArgmaxParams> = {
  name: "row",
  supports: () => true,
  build({ inputs: { x }, outputs, caps }) {
    const width = x.shape.at(-1) as number;
    const parts = { x: { tensor: x, width }, y: { tensor: outputs[0] as Tensor, width: 1 } };
    return rowWindows(sizeOf(x.shape) / width, Object.values(parts), caps).map((w) =>
      dispatch(
        scanKernel(true),
        { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w) },
        { groups: w.count, width, parts: 1, chunk: width },
        grid(w.count),
      ),
    );
  },
};

const chunk = 4096;

/** Several workgroups a row, for few rows as wide as a vocabulary: one workgroup keeps a GPU's one core busy. */
export const splitVariant: Variant<ArgmaxInputs, ArgmaxParams> = {
  name: "split",
  supports: ({ x }, _, caps) => {
    const width = x.shape.at(-1) as number;
    const fits = sizeOf(x.shape) * 4 <= caps.limits.maxStorageBufferBindingSize;
    return fits && width > chunk && sizeOf(x.shape) / width <= 64;
  },
  build({ inputs: { x }, outputs, scratch }) {
    const width = x.shape.at(-1) as number;
    const rows = sizeOf(x.shape) / width;
    const parts = Math.ceil(width / chunk);
    const best = scratch({ shape: [rows, parts, 2], dtype: "u32" });
    return [
      dispatch(
        scanKernel(false),
        { x, y: best },
        { groups: rows * parts, width, parts, chunk },
        grid(rows * parts),
      ),
      dispatch(joinKernel, { best_of_part: best, y: outputs[0] as Tensor }, { rows, parts }, grid(rows, 64)),
    ];
  },
};
