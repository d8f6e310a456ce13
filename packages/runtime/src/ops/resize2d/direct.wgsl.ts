import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { filterWgsl } from "./filter.ts";
import { filterRadius, type Resize2dInputs, type Resize2dParams, resize2dShape, sampling } from "./spec.ts";

const threads = 64;

/**
 * An output pixel a thread, 2 x 2 or 4 x 4 taps. Positions are integer fractions, so they are as exact on the last pixel
 * of a large image as on the first.
 */
function directKernel(mode: "bilinear" | "bicubic") {
  const taps = 2 * filterRadius(mode);
  return kernel({
    name: `resize2d-direct-${mode}`,
    bindings: { x: read("f32"), y: write("f32") },
    uniforms: {
      count: "u32",
      h: "u32",
      w: "u32",
      oh: "u32",
      ow: "u32",
      multiplierY: "u32",
      offsetY: "u32",
      divisorY: "u32",
      multiplierX: "u32",
      offsetX: "u32",
      divisorX: "u32",
      taps: "i32",
    },
    code: wgsl`
${filterWgsl(mode, false)}
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let ny = ((at / u.ow) % u.oh) * u.multiplierY + u.offsetY;
  let nx = (at % u.ow) * u.multiplierX + u.offsetX;
  let plane = at / (u.ow * u.oh) * u.h;
  let y0 = i32(ny / u.divisorY) - ${taps / 2};
  let x0 = i32(nx / u.divisorX) - ${taps / 2};
  let fy = f32(ny % u.divisorY) / f32(u.divisorY) + ${taps / 2 - 1}.0;
  let fx = f32(nx % u.divisorX) / f32(u.divisorX) + ${taps / 2 - 1}.0;
  let last = vec2<i32>(i32(u.h), i32(u.w)) - 1;
  var sum = 0.0;
  for (var i = 0; i < u.taps; i++) {
    let row = (plane + u32(clamp(y0 + i, 0, last.x))) * u.w;
    var part = 0.0;
    for (var j = 0; j < u.taps; j++) {
      part += filter_weight(fx - f32(j)) * x[row + u32(clamp(x0 + j, 0, last.y))];
    }
    sum += filter_weight(fy - f32(i)) * part;
  }
  y[at] = sum;
}`,
  });
}

export const directVariant: Variant<Resize2dInputs, Resize2dParams> = {
  name: "direct",
  supports: (_, { mode, antialias }) => mode !== "nearest" && !antialias,
  build({ inputs: { x }, outputs, params, caps }) {
    const y = outputs[0] as Tensor;
    const { planes, h, w, oh, ow } = resize2dShape({ x }, params);
    const mode = params.mode === "bicubic" ? "bicubic" : "bilinear";
    const rows = sampling(h, oh, params.alignCorners);
    const columns = sampling(w, ow, params.alignCorners);
    const from = { tensor: x, width: h * w };
    const to = { tensor: y, width: oh * ow };
    return rowWindows(planes, [from, to], caps).map((window) => {
      const count = window.count * oh * ow;
      return dispatch(
        directKernel(mode),
        { x: rowsOf(from, window), y: rowsOf(to, window) },
        {
          count,
          h,
          w,
          oh,
          ow,
          multiplierY: rows.multiplier,
          offsetY: rows.offset,
          divisorY: rows.divisor,
          multiplierX: columns.multiplier,
          offsetX: columns.offset,
          divisorX: columns.divisor,
          taps: 2 * filterRadius(mode),
        },
        grid(count, threads),
      );
    });
  },
};
