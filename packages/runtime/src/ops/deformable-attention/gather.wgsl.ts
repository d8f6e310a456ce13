import { dispatch, grid, kernel, read, type UniformType, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import {
  type DeformableAttentionInputs,
  type DeformableAttentionParams,
  deformableAttentionShape,
} from "./spec.ts";

const threads = 64;

/**
 * One (query, head) and one or four channels a thread, walking over all levels and points. The softmax is a running one
 * (Milakov and Gimelshein, 2018), so that every logit is loaded once.
 */
function gatherKernel(levels: number, wide: boolean, softmax: boolean) {
  const element = wide ? "vec4<f32>" : "f32";
  const sizes = Object.fromEntries(
    Array.from({ length: levels }, (_, i) => [
      [`h${i}`, "u32"],
      [`w${i}`, "u32"],
    ]).flat(),
  ) as Record<string, UniformType>;
  return kernel({
    name: `deformable-attention-${levels}${wide ? "-wide" : ""}`,
    bindings: {
      value: read(element),
      locations: read("vec2<f32>"),
      weights: read("f32"),
      y: write(element),
    },
    uniforms: {
      count: "u32",
      s: "u32",
      heads: "u32",
      d: "u32",
      q: "u32",
      points: "u32",
      levels: "u32",
      ...sizes,
    } as Record<string, UniformType>,
    code: wgsl`
fn size_of(level: u32) -> vec2<u32> {
  switch level {
${Array.from({ length: levels - 1 }, (_, i) => `    case ${i}u: { return vec2<u32>(u.h${i}, u.w${i}); }`).join("\n")}
    default: { return vec2<u32>(u.h${levels - 1}, u.w${levels - 1}); }
  }
}
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let k = at % u.d;
  let row = at / u.d;
  let head = row % u.heads;
  let image = row / (u.heads * u.q) * u.s;
  var sample = row * u.levels * u.points;
  var start = image;
  var sum = ${element}();
  var total = 0.0;
  var most = 0.0;
  for (var level = 0u; level < u.levels; level++) {
    let size = size_of(level);
    let extent = vec2<i32>(i32(size.y), i32(size.x));
    for (var point = 0u; point < u.points; point++) {
      var weight = weights[sample];
#if ${softmax}
      let logit = weight;
      let higher = select(max(most, logit), logit, level + point == 0u);
      let keep = select(exp(most - higher), 0.0, level + point == 0u);
      weight = exp(logit - higher);
      sum *= keep;
      total = total * keep + weight;
      most = higher;
#endif
      // far outside is as good as just outside, and converts to an integer
      let p = clamp(locations[sample] * vec2<f32>(extent) - 0.5, vec2<f32>(-2.0), vec2<f32>(extent) + 1.0);
      let low = vec2<i32>(floor(p));
      let f = p - floor(p);
      for (var corner = 0; corner < 4; corner++) {
        let o = vec2<i32>(corner & 1, corner >> 1u);
        let pixel = low + o;
        if (all(pixel >= vec2<i32>(0)) && all(pixel < extent)) {
          let g = select(1.0 - f, f, o == vec2<i32>(1));
          sum += weight * g.x * g.y * value[((start + u32(pixel.y * extent.x + pixel.x)) * u.heads + head) * u.d + k];
        }
      }
      sample++;
    }
    start += size.x * size.y;
  }
#if ${softmax}
  sum /= total;
#endif
  y[at] = sum;
}`,
  });
}

function gatherVariant(wide: boolean): Variant<DeformableAttentionInputs, DeformableAttentionParams> {
  return {
    name: wide ? "wide" : "scalar",
    supports: ({ value }) => !wide || (value.shape[3] ?? 0) % 4 === 0,
    build({ inputs, outputs, params, caps }) {
      const { value, locations, weights } = inputs;
      const { levels, softmax } = params;
      const y = outputs[0] as Tensor;
      const { b, s, heads, d, q, points } = deformableAttentionShape(inputs, params);
      const lanes = wide ? d / 4 : d;
      const samples = q * heads * levels.length * points;
      const parts = {
        value: { tensor: value, width: s * heads * d },
        locations: { tensor: locations, width: samples * 2 },
        weights: { tensor: weights, width: samples },
        y: { tensor: y, width: q * heads * d },
      };
      const compiled = gatherKernel(levels.length, wide, softmax);
      const sizes = Object.fromEntries(
        levels.flatMap(([h, w], i) => [
          [`h${i}`, h],
          [`w${i}`, w],
        ]),
      );
      return rowWindows(b, Object.values(parts), caps).map((window) => {
        const count = window.count * q * heads * lanes;
        return dispatch(
          compiled,
          {
            value: rowsOf(parts.value, window),
            locations: rowsOf(parts.locations, window),
            weights: rowsOf(parts.weights, window),
            y: rowsOf(parts.y, window),
          },
          { count, s, heads, d: lanes, q, points, levels: levels.length, ...sizes },
          grid(count, threads),
        );
      });
    },
  };
}

/** Four channels a thread where D is a multiple of 4, else one. */
export const gatherVariants = [gatherVariant(true), gatherVariant(false)];
