import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import {
  type AdaptiveAvgPool2dInputs,
  type AdaptiveAvgPool2dParams,
  adaptiveAvgPool2dShape,
} from "./spec.ts";

const threads = 64;

const gatherKernel = kernel({
  name: "adaptive-avg-pool2d",
  bindings: { x: read("f32"), y: write("f32") },
  uniforms: { count: "u32", h: "u32", w: "u32", oh: "u32", ow: "u32" },
  code: wgsl`
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let px = at % u.ow;
  let py = (at / u.ow) % u.oh;
  let plane = at / (u.ow * u.oh) * u.h;
  let y0 = py * u.h / u.oh;
  let y1 = ((py + 1u) * u.h + u.oh - 1u) / u.oh;
  let x0 = px * u.w / u.ow;
  let x1 = ((px + 1u) * u.w + u.ow - 1u) / u.ow;
  var sum = 0.0;
  for (var iy = y0; iy < y1; iy++) {
    // row sums of their own keep the rounding error of a large bin small
    var row = 0.0;
    for (var ix = x0; ix < x1; ix++) { row += x[(plane + iy) * u.w + ix]; }
    sum += row;
  }
  y[at] = sum / f32((y1 - y0) * (x1 - x0));
}`,
});

export const gatherVariant: Variant<AdaptiveAvgPool2dInputs, AdaptiveAvgPool2dParams> = {
  name: "gather",
  supports: () => true,
  build({ inputs: { x }, outputs, params, caps }) {
    const y = outputs[0] as Tensor;
    const { planes, h, w, oh, ow } = adaptiveAvgPool2dShape({ x }, params);
    const from = { tensor: x, width: h * w };
    const to = { tensor: y, width: oh * ow };
    return rowWindows(planes, [from, to], caps).map((window) => {
      const count = window.count * oh * ow;
      return dispatch(
        gatherKernel,
        { x: rowsOf(from, window), y: rowsOf(to, window) },
        { count, h, w, oh, ow },
        grid(count, threads),
      );
    });
  },
};
