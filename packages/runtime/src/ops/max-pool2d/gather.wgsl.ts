import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type MaxPool2dInputs, type MaxPool2dParams, maxPool2dShape } from "./spec.ts";

const threads = 64;

const gatherKernel = kernel({
  name: "max-pool2d",
  bindings: { x: read("f32"), y: write("f32") },
  uniforms: {
    count: "u32",
    h: "u32",
    w: "u32",
    oh: "u32",
    ow: "u32",
    kh: "u32",
    kw: "u32",
    strideY: "u32",
    strideX: "u32",
    padY: "u32",
    padX: "u32",
    dilationY: "u32",
    dilationX: "u32",
  },
  // starts from the window's first pixel: WGSL has no infinity literal to start from
  code: wgsl`
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let y0 = i32(((at / u.ow) % u.oh) * u.strideY) - i32(u.padY);
  let x0 = i32((at % u.ow) * u.strideX) - i32(u.padX);
  let plane = at / (u.ow * u.oh) * u.h;
  var most = 0.0;
  var found = false;
  for (var i = 0u; i < u.kh; i++) {
    let iy = y0 + i32(i * u.dilationY);
    if (iy < 0 || u32(iy) >= u.h) { continue; }
    for (var j = 0u; j < u.kw; j++) {
      let ix = x0 + i32(j * u.dilationX);
      if (ix < 0 || u32(ix) >= u.w) { continue; }
      let v = x[(plane + u32(iy)) * u.w + u32(ix)];
      most = select(v, max(most, v), found);
      found = true;
    }
  }
  y[at] = most;
}`,
});

export const gatherVariant: Variant<MaxPool2dInputs, MaxPool2dParams> = {
  name: "gather",
  supports: () => true,
  build({ inputs: { x }, outputs, params, caps }) {
    const y = outputs[0] as Tensor;
    const { kernel: size, stride, padding, dilation } = params;
    const { planes, h, w, oh, ow } = maxPool2dShape({ x }, params);
    const from = { tensor: x, width: h * w };
    const to = { tensor: y, width: oh * ow };
    return rowWindows(planes, [from, to], caps).map((window) => {
      const count = window.count * oh * ow;
      return dispatch(
        gatherKernel,
        { x: rowsOf(from, window), y: rowsOf(to, window) },
        {
          count,
          h,
          w,
          oh,
          ow,
          kh: size[0],
          kw: size[1],
          strideY: stride[0],
          strideX: stride[1],
          padY: padding[0],
          padX: padding[1],
          dilationY: dilation[0],
          dilationX: dilation[1],
        },
        grid(count, threads),
      );
    });
  },
};
