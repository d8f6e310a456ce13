import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { mostSamples, type RoiAlignInputs, type RoiAlignParams, roiAlignShape } from "./spec.ts";

const threads = 64;

/** A bin of one box and channel a thread. */
const gatherKernel = kernel({
  name: "roi-align",
  bindings: { features: read("f32"), boxes: read("f32"), y: write("f32") },
  uniforms: {
    count: "u32",
    n: "u32",
    c: "u32",
    h: "u32",
    w: "u32",
    oh: "u32",
    ow: "u32",
    samples: "u32",
    mostY: "u32",
    mostX: "u32",
    aligned: "u32",
    scale: "f32",
  },
  code: wgsl`
// (start, bin size, samples a bin) of a box along one axis
fn axis_of(low: f32, high: f32, bins: u32, most: u32) -> vec3<f32> {
  let offset = select(0.0, 0.5, u.aligned != 0u);
  let start = low * u.scale - offset;
  let length = (high * u.scale - offset) - start;
  let bin = select(max(length, 1.0), length, u.aligned != 0u) / f32(bins);
  let adaptive = clamp(ceil(bin), 0.0, f32(most));
  return vec3<f32>(start, bin, select(f32(u.samples), adaptive, u.samples == 0u));
}
// (lower pixel, weight of the one above); weight -1 where the position is more than a pixel outside
fn tap_at(position: f32, size: u32) -> vec2<f32> {
  if (!(position >= -1.0 && position <= f32(size))) { return vec2<f32>(0.0, -1.0); }
  let p = clamp(position, 0.0, f32(size - 1u));
  let low = min(floor(p), f32(max(size, 2u) - 2u));
  return vec2<f32>(low, p - low);
}
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let px = at % u.ow;
  let py = (at / u.ow) % u.oh;
  let channel = (at / (u.ow * u.oh)) % u.c;
  let box = at / (u.ow * u.oh * u.c) * 5u;
  let image = boxes[box];
  var sum = 0.0;
  if (image >= 0.0 && image < f32(u.n)) {
    let plane = (u32(image) * u.c + channel) * u.h;
    let rows = axis_of(boxes[box + 2u], boxes[box + 4u], u.oh, u.mostY);
    let columns = axis_of(boxes[box + 1u], boxes[box + 3u], u.ow, u.mostX);
    let up = min(1u, u.w - 1u);
    for (var i = 0.0; i < rows.z; i += 1.0) {
      let ty = tap_at(rows.x + (f32(py) + (i + 0.5) / rows.z) * rows.y, u.h);
      if (ty.y < 0.0) { continue; }
      let low = (plane + u32(ty.x)) * u.w;
      let high = low + min(1u, u.h - 1u) * u.w;
      for (var j = 0.0; j < columns.z; j += 1.0) {
        let tx = tap_at(columns.x + (f32(px) + (j + 0.5) / columns.z) * columns.y, u.w);
        if (tx.y < 0.0) { continue; }
        let x0 = u32(tx.x);
        sum += mix(mix(features[low + x0], features[low + x0 + up], tx.y),
          mix(features[high + x0], features[high + x0 + up], tx.y), ty.y);
      }
    }
    sum /= max(1.0, rows.z * columns.z);
  }
  y[at] = sum;
}`,
});

export const gatherVariant: Variant<RoiAlignInputs, RoiAlignParams> = {
  name: "gather",
  supports: () => true,
  build({ inputs: { features, boxes }, outputs, params }) {
    const { n, c, h, w, boxes: boxCount, oh, ow } = roiAlignShape({ features, boxes }, params);
    const count = boxCount * c * oh * ow;
    return [
      dispatch(
        gatherKernel,
        { features, boxes, y: outputs[0] as Tensor },
        {
          count,
          n,
          c,
          h,
          w,
          oh,
          ow,
          samples: params.samplingRatio,
          mostY: mostSamples(h),
          mostX: mostSamples(w),
          aligned: params.aligned ? 1 : 0,
          scale: params.spatialScale,
        },
        grid(count, threads),
      ),
    ];
  },
};
