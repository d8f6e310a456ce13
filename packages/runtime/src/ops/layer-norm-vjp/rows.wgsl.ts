import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, reader } from "../../reading.ts";
import { type ReductionMode, reduction } from "../../reduction.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type LayerNormVjpInputs, layerNormVjpShape } from "./spec.ts";

type NoParams = Record<string, never>;
const threads = 64;

function rowKernel(mode: ReductionMode, storage: FloatStorage) {
  const reduce = reduction(mode, "f32", "add", threads);
  const v = reader("gradient", storage, false);
  return kernel({
    name: `layer-norm-vjp-${mode}-${storage}`,
    bindings: {
      gradient: v.decl,
      normalized: read("f32"),
      scale: read("f32"),
      weight: read("f32"),
      y: write("f32"),
    },
    uniforms: { rows: "u32", width: "u32" },
    enable: [...reduce.enable, ...v.enable],
    code: wgsl`
${reduce.code}
${v.code}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, ${reduce.parameters}) {
  let row = flat_workgroup(wid, nwg);
  if (row >= u.rows) { return; }
  let base = row * u.width;
  var mean = 0.0;
  var along = 0.0;
  // pass 0: the mean; pass 1: the part along the normalised point
  for (var pass_ = 0u; pass_ < 2u; pass_++) {
    var sum = 0.0;
    for (var i = li; i < u.width; i += ${threads}u) {
      sum += load_gradient(base + i) * weight[i] * select(1.0, normalized[i], pass_ == 1u);
    }
    let average = reduce(sum, ${reduce.thread}) / f32(u.width);
    if (pass_ == 0u) { mean = average; } else { along = average; }
  }
  for (var i = li; i < u.width; i += ${threads}u) {
    y[base + i] = scale[0] * (load_gradient(base + i) * weight[i] - mean - along * normalized[i]);
  }
}`,
  });
}

function rowVariant(mode: ReductionMode): Variant<LayerNormVjpInputs, NoParams> {
  return {
    name: mode,
    supports: (_, __, caps) => mode === "workgroup" || caps.subgroups,
    build({ inputs, outputs, caps }) {
      const { gradient, ...point } = inputs;
      const { rows, width } = layerNormVjpShape(inputs);
      const parts = {
        gradient: { tensor: gradient, width },
        y: { tensor: outputs[0] as Tensor, width },
      };
      return rowWindows(rows, Object.values(parts), caps).map((w) =>
        dispatch(
          rowKernel(mode, gradient.dtype === "f16" ? "packed" : "f32"),
          { gradient: rowsOf(parts.gradient, w), ...point, y: rowsOf(parts.y, w) },
          { rows: w.count, width },
          grid(w.count),
        ),
      );
    },
  };
}

/** A workgroup a row. */
export const rowVariants = [rowVariant("subgroup"), rowVariant("workgroup")];
