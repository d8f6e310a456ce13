import { dispatch, grid, kernel, read, type TensorWindow, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { filterWgsl } from "./filter.ts";
import {
  type Footprint,
  filterRadius,
  footprint,
  type Resize2dInputs,
  type Resize2dParams,
  resize2dShape,
} from "./spec.ts";

const threads = 64;

/** Filters along the middle axis of [outer, length, inner]: an output a thread. */
function axisKernel(mode: "bilinear" | "bicubic") {
  return kernel({
    name: `resize2d-axis-${mode}`,
    bindings: { x: read("f32"), y: write("f32") },
    uniforms: {
      count: "u32",
      sizeIn: "u32",
      sizeOut: "u32",
      inner: "u32",
      numerator: "u32",
      denominator: "u32",
      scale: "f32",
      support: "f32",
    },
    code: wgsl`
${filterWgsl(mode, true)}
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let n = (2u * ((at / u.inner) % u.sizeOut) + 1u) * u.numerator;
  // the centre as a pixel and a fraction, which is exact however far from 0 it is
  let pixel = i32(n / u.denominator);
  let fraction = f32(n % u.denominator) / f32(u.denominator);
  let reach = i32(ceil(u.support)) + 1;
  let first = max(pixel - reach, 0);
  let end = min(pixel + reach + 1, i32(u.sizeIn));
  let base = at / (u.inner * u.sizeOut) * u.sizeIn * u.inner + at % u.inner;
  var sum = 0.0;
  var total = 0.0;
  for (var i = first; i < end; i++) {
    let weight = filter_weight((f32(i - pixel) + 0.5 - fraction) / u.scale);
    total += weight;
    sum += weight * x[base + u32(i) * u.inner];
  }
  y[at] = sum / total;
}`,
  });
}

interface Axis {
  readonly outer: number;
  readonly from: number;
  readonly to: number;
  readonly inner: number;
}

function along(
  mode: "bilinear" | "bicubic",
  x: Tensor | TensorWindow,
  y: Tensor | TensorWindow,
  { outer, from, to, inner }: Axis,
  { numerator, denominator, scale }: Footprint,
) {
  const count = outer * to * inner;
  const support = filterRadius(mode) * scale;
  return dispatch(
    axisKernel(mode),
    { x, y },
    { count, sizeIn: from, sizeOut: to, inner, numerator, denominator, scale, support },
    grid(count, threads),
  );
}

/** Antialiased: columns first, then rows, with weights that sum to 1 along each axis (Pillow's way, and torch's). */
export const separableVariant: Variant<Resize2dInputs, Resize2dParams> = {
  name: "separable",
  supports: (_, { antialias }) => antialias,
  build({ inputs: { x }, outputs, params, caps, scratch }) {
    const y = outputs[0] as Tensor;
    const { planes, h, w, oh, ow } = resize2dShape({ x }, params);
    const mode = params.mode === "bicubic" ? "bicubic" : "bilinear";
    const middle = scratch({ shape: [planes, h, ow], dtype: "f32" });
    const from = { tensor: x, width: h * w };
    const half = { tensor: middle, width: h * ow };
    const to = { tensor: y, width: oh * ow };
    const [columns, rows] = [footprint(w, ow, params.alignCorners), footprint(h, oh, params.alignCorners)];
    return rowWindows(planes, [from, half, to], caps).flatMap((window) => {
      const between = rowsOf(half, window);
      const widths = { outer: window.count * h, from: w, to: ow, inner: 1 };
      const heights = { outer: window.count, from: h, to: oh, inner: ow };
      return [
        along(mode, rowsOf(from, window), between, widths, columns),
        along(mode, between, rowsOf(to, window), heights, rows),
      ];
    });
  },
};
