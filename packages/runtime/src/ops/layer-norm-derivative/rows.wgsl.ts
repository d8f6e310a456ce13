import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, reader } from "../../reading.ts";
import { type ReductionMode, reduction } from "../../reduction.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import {
  type LayerNormDerivativeInputs,
  type LayerNormDerivativeParams,
  layerNormDerivativeShape,
} from "./spec.ts";

const threads = 64;

/** Both directions and the residual are switched by uniforms: a model then needs one pipeline. */
function rowKernel(mode: ReductionMode, wide: boolean, storage: FloatStorage) {
  const reduce = reduction(mode, "f32", "add", threads);
  const element = wide ? "vec4<f32>" : "f32";
  const v = reader("v", storage, wide);
  return kernel({
    name: `layer-norm-derivative-${mode}-${wide ? "vec4" : "scalar"}-${storage}`,
    bindings: {
      v: v.decl,
      normalized: read(element),
      scales: read("f32"),
      weight: read(element),
      residual: read(element),
      y: write(element),
    },
    uniforms: {
      rows: "u32",
      row0: "u32",
      items: "u32",
      width: "f32",
      points: "u32",
      vjp: "u32",
      has_residual: "u32",
    },
    enable: [...reduce.enable, ...v.enable],
    code: wgsl`
${reduce.code}
${v.code}
fn total(v: ${element}) -> f32 {
#if ${wide}
  return dot(v, vec4<f32>(1.0));
#else
  return v;
#endif
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, ${reduce.parameters}) {
  let local = flat_workgroup(wid, nwg);
  if (local >= u.rows) { return; }
  let row = u.row0 + local;
  let base = local * u.items;
  let point = (row % u.points) * u.items;
  let scale = scales[row % u.points];
  let vjp = u.vjp != 0u;
  var mean = 0.0;
  var along = 0.0;
  // two sums by one reduction site: pass 0 the mean, pass 1 the part along the normalised point
  for (var pass_ = 0u; pass_ < 2u; pass_++) {
    var sum = ${element}();
    for (var i = li; i < u.items; i += ${threads}u) {
      var a = ${wide ? "load4_v" : "load_v"}(base + i);
      if (vjp) { a *= weight[i]; }
      if (pass_ == 1u) { a *= normalized[point + i]; }
      sum += a;
    }
    let average = reduce(total(sum), ${reduce.thread}) / u.width;
    if (pass_ == 0u) { mean = average; } else { along = average; }
  }
  for (var i = li; i < u.items; i += ${threads}u) {
    let w = weight[i];
    var a = ${wide ? "load4_v" : "load_v"}(base + i);
    if (vjp) { a *= w; }
    a = scale * (a - mean - along * normalized[point + i]);
    if (!vjp) { a *= w; }
    if (u.has_residual != 0u) { a += residual[(row / u.points) * u.items + i]; }
    y[base + i] = a;
  }
}`,
  });
}

function rowVariant(
  mode: ReductionMode,
  wide: boolean,
): Variant<LayerNormDerivativeInputs, LayerNormDerivativeParams> {
  return {
    name: `${mode}-${wide ? "vec4" : "scalar"}`,
    supports: ({ weight }, _, caps) =>
      (mode === "workgroup" || caps.subgroups) && (!wide || (weight.shape[0] as number) % 4 === 0),
    build({ inputs, outputs, params: { direction }, caps }) {
      const { v, normalized, scale, weight, residual } = inputs;
      const { rows, width, points } = layerNormDerivativeShape(inputs);
      const parts = { v: { tensor: v, width }, y: { tensor: outputs[0] as Tensor, width } };
      const compiled = rowKernel(mode, wide, v.dtype === "f16" ? "packed" : "f32");
      return rowWindows(rows, Object.values(parts), caps).map((w) =>
        dispatch(
          compiled,
          {
            v: rowsOf(parts.v, w),
            normalized,
            scales: scale,
            weight,
            residual: residual ?? weight,
            y: rowsOf(parts.y, w),
          },
          {
            rows: w.count,
            row0: w.start,
            items: wide ? width / 4 : width,
            width,
            points,
            vjp: direction === "vjp" ? 1 : 0,
            has_residual: residual ? 1 : 0,
          },
          grid(w.count),
        ),
      );
    },
  };
}

/** A workgroup a row; in windows of rows where a tensor exceeds a binding. */
export const rowVariants = (["subgroup", "workgroup"] as const).flatMap((mode) =>
  [true, false].map((wide) => rowVariant(mode, wide)),
);
