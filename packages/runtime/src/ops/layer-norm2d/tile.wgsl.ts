import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, reader } from "../../reading.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import type { NormParams } from "../layer-norm/spec.ts";
import type { LayerNorm2dInputs } from "./spec.ts";

/** A workgroup takes 32 neighbouring positions; 8 threads share the channels of each. */
const positions = 32;
const sharers = 8;

function tileKernel(weight: FloatStorage, bias: FloatStorage) {
  const w = reader("weight", weight, false);
  const b = reader("bias", bias, false);
  return kernel({
    name: "layer-norm2d-tile",
    bindings: { x: read("f32"), weight: w.decl, bias: b.decl, y: write("f32") },
    uniforms: { tiles: "u32", tiles_per_image: "u32", channels: "u32", pixels: "u32", eps: "f32" },
    code: wgsl`
${w.code}
${b.code}
var<workgroup> parts: array<f32, ${positions * sharers}>;
@compute @workgroup_size(${positions}, ${sharers})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_id) lid: vec3u, @builtin(local_invocation_index) li: u32) {
  let tile = flat_workgroup(wid, nwg);
  if (tile >= u.tiles) { return; }
  let p = (tile % u.tiles_per_image) * ${positions}u + lid.x;
  let base = (tile / u.tiles_per_image) * u.channels * u.pixels + p;
  // threads beyond the image's end take part in barriers only
  let channels = select(0u, u.channels, p < u.pixels);
  var mean = 0.0;
  var scale = 0.0;
  for (var pass_ = 0u; pass_ < 2u; pass_++) {
    var sum = 0.0;
    for (var c = lid.y; c < channels; c += ${sharers}u) {
      let d = x[base + c * u.pixels] - mean;
      if (pass_ == 0u) { sum += d; } else { sum += d * d; }
    }
    parts[li] = sum;
    workgroupBarrier();
    var total = 0.0;
    for (var s = 0u; s < ${sharers}u; s++) { total += parts[s * ${positions}u + lid.x]; }
    workgroupBarrier();
    let average = total / f32(u.channels);
    if (pass_ == 0u) { mean = average; } else { scale = inverseSqrt(average + u.eps); }
  }
  for (var c = lid.y; c < channels; c += ${sharers}u) {
    let i = base + c * u.pixels;
    y[i] = (x[i] - mean) * scale * load_weight(c) + load_bias(c);
  }
}`,
  });
}

export const tileVariant: Variant<LayerNorm2dInputs, NormParams> = {
  name: "tile",
  supports: () => true,
  build({ inputs: { x, weight, bias }, outputs, params: { eps }, caps }) {
    const [images, channels] = x.shape as [number, number];
    const pixels = sizeOf(x.shape.slice(2));
    const storage = (t: Tensor): FloatStorage => (t.dtype === "f16" ? "packed" : "f32");
    const k = tileKernel(storage(weight), storage(bias));
    const perImage = Math.ceil(pixels / positions);
    const parts = {
      x: { tensor: x, width: channels * pixels },
      y: { tensor: outputs[0] as Tensor, width: channels * pixels },
    };
    return rowWindows(images, Object.values(parts), caps).map((w) =>
      dispatch(
        k,
        { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w), weight, bias },
        { tiles: w.count * perImage, tiles_per_image: perImage, channels, pixels, eps },
        grid(w.count * perImage),
      ),
    );
  },
};
