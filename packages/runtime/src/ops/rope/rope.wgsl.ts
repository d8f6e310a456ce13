import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { rotatedCode, rotationCode } from "./rotation.wgsl.ts";
import { type RopeInputs, type RopeParams, ropeShape } from "./spec.ts";

const workgroup = 64;

const ropeKernel = kernel({
  name: "rope-element",
  bindings: { x: read("f32"), inv_freq: read("f32"), start: read("u32"), y: write("f32") },
  uniforms: {
    n: "u32",
    size: "u32",
    heads: "u32",
    length: "u32",
    rotary: "u32",
    row0: "u32",
    scaling: "f32",
  },
  code: wgsl`
${rotationCode("f32")}
${rotatedCode("x")}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.n) { return; }
  let d = i % u.size;
  let row = u.row0 + i / (u.size * u.heads);
  y[i] = rotated_x(i - d, d, start[row / u.length] + row % u.length);
}`,
});

/** A thread for each element, in windows of rows [b, t] where x exceeds a binding. */
export const ropeVariant: Variant<RopeInputs, RopeParams> = {
  name: "element",
  supports: () => true,
  build({ inputs: { x, invFreq, start }, outputs, params, caps }) {
    const { batch, length, heads, size, rotary } = ropeShape({ x, invFreq, start }, params);
    const width = heads * size;
    const parts = { x: { tensor: x, width }, y: { tensor: outputs[0] as Tensor, width } };
    return rowWindows(batch * length, Object.values(parts), caps).map((w) =>
      dispatch(
        ropeKernel,
        { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w), inv_freq: invFreq, start },
        {
          n: w.count * width,
          size,
          heads,
          length,
          rotary,
          row0: w.start,
          scaling: params.attentionScaling,
        },
        grid(w.count * width, workgroup),
      ),
    );
  },
};
