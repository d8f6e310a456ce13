import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type ReductionMode, reduction } from "../../reduction.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type StandardizeInputs, type StandardizeParams, standardizeShape } from "./spec.ts";

const threads = 64;

function rowKernel(mode: ReductionMode) {
  const reduce = reduction(mode, "f32", "add", threads);
  return kernel({
    name: `standardize-${mode}`,
    bindings: { x: read("f32"), normalized: write("f32"), scales: write("f32") },
    uniforms: { rows: "u32", width: "u32", eps: "f32" },
    enable: reduce.enable,
    code: wgsl`
${reduce.code}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, ${reduce.parameters}) {
  let row = flat_workgroup(wid, nwg);
  if (row >= u.rows) { return; }
  let base = row * u.width;
  var mean = 0.0;
  var scale = 0.0;
  // pass 0: mean; pass 1: variance around it
  for (var pass_ = 0u; pass_ < 2u; pass_++) {
    var sum = 0.0;
    for (var i = li; i < u.width; i += ${threads}u) {
      let d = x[base + i] - mean;
      sum += select(d * d, d, pass_ == 0u);
    }
    let average = reduce(sum, ${reduce.thread}) / f32(u.width);
    if (pass_ == 0u) { mean = average; } else { scale = inverseSqrt(average + u.eps); }
  }
  for (var i = li; i < u.width; i += ${threads}u) { normalized[base + i] = (x[base + i] - mean) * scale; }
  if (li == 0u) { scales[row] = scale; }
}`,
  });
}

function rowVariant(mode: ReductionMode): Variant<StandardizeInputs, StandardizeParams> {
  return {
    name: mode,
    supports: (_, __, caps) => mode === "workgroup" || caps.subgroups,
    build({ inputs: { x }, outputs, params, caps }) {
      const { rows, width } = standardizeShape({ x }, params);
      const [normalized, scales] = outputs as [Tensor, Tensor];
      const parts = {
        x: { tensor: x, width },
        normalized: { tensor: normalized, width },
        scales: { tensor: scales, width: 1 },
      };
      return rowWindows(rows, Object.values(parts), caps).map((w) =>
        dispatch(
          rowKernel(mode),
          {
            x: rowsOf(parts.x, w),
            normalized: rowsOf(parts.normalized, w),
            scales: rowsOf(parts.scales, w),
          },
          { rows: w.count, width, eps: params.eps },
          grid(w.count),
        ),
      );
    },
  };
}

/** A workgroup a row. */
export const rowVariants = [rowVariant("subgroup"), rowVariant("workgroup")];
