import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type Resize2dInputs, type Resize2dParams, resize2dShape } from "./spec.ts";

const threads = 64;

const nearestKernel = kernel({
  name: "resize2d-nearest",
  bindings: { x: read("f32"), y: write("f32") },
  uniforms: { count: "u32", h: "u32", w: "u32", oh: "u32", ow: "u32", scaleY: "f32", scaleX: "f32" },
  code: wgsl`
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let iy = min(u32(f32((at / u.ow) % u.oh) * u.scaleY), u.h - 1u);
  let ix = min(u32(f32(at % u.ow) * u.scaleX), u.w - 1u);
  y[at] = x[(at / (u.ow * u.oh) * u.h + iy) * u.w + ix];
}`,
});

export const nearestVariant: Variant<Resize2dInputs, Resize2dParams> = {
  name: "nearest",
  supports: (_, { mode }) => mode === "nearest",
  build({ inputs: { x }, outputs, params, caps }) {
    const y = outputs[0] as Tensor;
    const { planes, h, w, oh, ow } = resize2dShape({ x }, params);
    const from = { tensor: x, width: h * w };
    const to = { tensor: y, width: oh * ow };
    return rowWindows(planes, [from, to], caps).map((window) => {
      const count = window.count * oh * ow;
      return dispatch(
        nearestKernel,
        { x: rowsOf(from, window), y: rowsOf(to, window) },
        { count, h, w, oh, ow, scaleY: h / oh, scaleX: w / ow },
        grid(count, threads),
      );
    });
  },
};
