import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { f32, wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import {
  flatPart,
  flatRange,
  type MapDiceInputs,
  type MapDiceParams,
  mapDiceShape,
  pixelFractions,
} from "./spec.ts";

const threads = 64;

/**
 * A workgroup a mask. The upsampled map is bilinear between four patch centres, so its extremes over the pixels there are
 * at the outermost ones: 2 pixels an axis are looked at for each gap between patches, and one at either border.
 */
const maskKernel = kernel({
  name: "map-dice",
  bindings: {
    relevance: read("f32"),
    coverage: read("f32"),
    area: read("f32"),
    dice: write("f32"),
    maps: write("f32"),
    gradient: write("f32"),
  },
  uniforms: { masks: "u32", rows: "u32", columns: "u32", first: "f32", last: "f32", scale: "f32" },
  code: wgsl`
/** A patch and how far a pixel is towards the next one. */
struct Place { at: u32, part: f32 }
var<workgroup> lows: array<vec2<f32>, ${threads}>;
var<workgroup> highs: array<vec2<f32>, ${threads}>;
var<workgroup> sums: array<vec4<f32>, ${threads}>;
fn place(pixel: u32, patches: u32) -> Place {
  if (pixel == 0u) { return Place(0u, 0.0); }
  if (pixel == 2u * patches - 1u) { return Place(patches - 1u, 0.0); }
  return Place((pixel - 1u) / 2u, select(u.last, u.first, pixel % 2u == 1u));
}
fn place_row(pixel: u32) -> Place { return place(pixel / (2u * u.columns), u.rows); }
fn place_column(pixel: u32) -> Place { return place(pixel % (2u * u.columns), u.columns); }
fn weight(p: Place, at: u32) -> f32 {
  return select(0.0, 1.0 - p.part, at == p.at) + select(0.0, p.part, at == p.at + 1u);
}
/** How much patch (row, column) adds to a pixel. */
fn tap(pixel: u32, row: u32, column: u32) -> f32 {
  return weight(place_row(pixel), row) * weight(place_column(pixel), column);
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let mask = flat_workgroup(wid, nwg);
  if (mask >= u.masks) { return; }
  let patches = u.rows * u.columns;
  let r = mask * (patches + 1u) + 1u;
  // value and pixel; the numbers of pixels are whole in f32
  var low = vec2<f32>(3.4e38, 0.0);
  var high = vec2<f32>(-3.4e38, 0.0);
  for (var pixel = li; pixel < 4u * patches; pixel += ${threads}u) {
    let y = place_row(pixel);
    let x = place_column(pixel);
    var value = 0.0;
    for (var corner = 0u; corner < 4u; corner++) {
      let row = min(y.at + corner / 2u, u.rows - 1u);
      let column = min(x.at + corner % 2u, u.columns - 1u);
      let wy = select(1.0 - y.part, y.part, corner > 1u);
      let wx = select(1.0 - x.part, x.part, (corner & 1u) != 0u);
      value += wy * wx * relevance[r + row * u.columns + column];
    }
    if (value < low.x) { low = vec2<f32>(value, f32(pixel)); }
    if (value > high.x) { high = vec2<f32>(value, f32(pixel)); }
  }
  lows[li] = low;
  highs[li] = high;
  workgroupBarrier();
  for (var i = 0u; i < ${threads}u; i++) {
    if (lows[i].x < low.x || (lows[i].x == low.x && lows[i].y < low.y)) { low = lows[i]; }
    if (highs[i].x > high.x || (highs[i].x == high.x && highs[i].y < high.y)) { high = highs[i]; }
  }
  let range = high.x - low.x;
  let flat = !(range > max(${f32(flatRange)}, ${f32(flatPart)} * max(abs(low.x), abs(high.x))));
  let inverse = select(1.0 / range, 0.0, flat);
  // map · mask, map, mask, pixels
  var sum = vec4<f32>();
  for (var p = li; p < patches; p += ${threads}u) {
    let value = (relevance[r + p] - low.x) * inverse;
    maps[mask * patches + p] = value;
    let k = coverage[mask * patches + p];
    sum += vec4<f32>(value * k, value * area[p], k, area[p]);
  }
  sums[li] = sum;
  workgroupBarrier();
  sum = vec4<f32>();
  for (var i = 0u; i < ${threads}u; i++) { sum += sums[i]; }
  let denominator = sum.y + sum.z + 1.0;
  let overlap = (2.0 * sum.x + 1.0) / denominator;
  // of the loss by the map's product with the mask, and by its sum
  let by_product = -2.0 / denominator;
  let by_sum = overlap / denominator;
  let along = by_product * sum.x + by_sum * sum.y;
  let on_low = along - (by_product * sum.z + by_sum * sum.w);
  for (var p = li; p < patches; p += ${threads}u) {
    let row = p / u.columns;
    let column = p % u.columns;
    let g = by_product * coverage[mask * patches + p] + by_sum * area[p]
      - along * tap(u32(high.y), row, column) + on_low * tap(u32(low.y), row, column);
    gradient[r + p] = g * inverse * u.scale;
  }
  if (li == 0u) {
    gradient[r - 1u] = 0.0;
    dice[mask] = 1.0 - overlap;
  }
}`,
});

export const maskVariant: Variant<MapDiceInputs, MapDiceParams> = {
  name: "mask",
  // pixels are numbered in f32
  supports: (_, { rows, columns }) => 4 * rows * columns < 2 ** 24,
  build({ inputs, outputs, params, caps }) {
    const { masks, patches } = mapDiceShape(inputs, params);
    const { rows, columns, patch, scale } = params;
    const [dice, maps, gradient] = outputs as [Tensor, Tensor, Tensor];
    const parts = {
      relevance: { tensor: inputs.relevance, width: 1 + patches },
      coverage: { tensor: inputs.coverage, width: patches },
      dice: { tensor: dice, width: 1 },
      maps: { tensor: maps, width: patches },
      gradient: { tensor: gradient, width: 1 + patches },
    };
    return rowWindows(masks, Object.values(parts), caps).map((w) =>
      dispatch(
        maskKernel,
        {
          relevance: rowsOf(parts.relevance, w),
          coverage: rowsOf(parts.coverage, w),
          area: inputs.area,
          dice: rowsOf(parts.dice, w),
          maps: rowsOf(parts.maps, w),
          gradient: rowsOf(parts.gradient, w),
        },
        { masks: w.count, rows, columns, ...pixelFractions(patch), scale },
        grid(w.count),
      ),
    );
  },
};
