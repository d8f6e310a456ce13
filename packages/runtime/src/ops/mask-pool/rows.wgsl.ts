import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { type MaskPoolInputs, maskPoolShape } from "./spec.ts";

const threads = 64;

/** One or four channels of four masks a thread, so that every feature is loaded for four of them. */
function rowsKernel(wide: boolean) {
  const element = wide ? "vec4<f32>" : "f32";
  return kernel({
    name: `mask-pool${wide ? "-wide" : ""}`,
    bindings: { features: read(element), masks: read("f32"), y: write(element) },
    uniforms: { count: "u32", tokens: "u32", d: "u32", rows: "u32" },
    code: wgsl`
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let k = at % u.d;
  let m = at / u.d * 4u;
  // masks beyond the last repeat it and are not stored
  let rows = min(vec4<u32>(m, m + 1u, m + 2u, m + 3u), vec4<u32>(u.rows - 1u)) * u.tokens;
  var s0 = ${element}(); var s1 = ${element}(); var s2 = ${element}(); var s3 = ${element}();
  var total = vec4<f32>();
  for (var t = 0u; t < u.tokens; t++) {
    let f = features[t * u.d + k];
    let w = vec4<f32>(masks[rows.x + t], masks[rows.y + t], masks[rows.z + t], masks[rows.w + t]);
    total += w;
    s0 += w.x * f; s1 += w.y * f; s2 += w.z * f; s3 += w.w * f;
  }
  let sums = array<${element}, 4>(s0, s1, s2, s3);
  let count = min(4u, u.rows - m);
  for (var i = 0u; i < count; i++) {
    let empty = !(total[i] > 0.0);
    y[(m + i) * u.d + k] = select(sums[i] / select(total[i], 1.0, empty), ${element}(), empty);
  }
}`,
  });
}

function rowsVariant(wide: boolean): Variant<MaskPoolInputs, null> {
  return {
    name: wide ? "wide" : "scalar",
    supports: ({ features }) => !wide || (features.shape[1] ?? 0) % 4 === 0,
    build({ inputs: { features, masks }, outputs }) {
      const { tokens, d, masks: rows } = maskPoolShape({ features, masks });
      const lanes = wide ? d / 4 : d;
      const count = Math.ceil(rows / 4) * lanes;
      return [
        dispatch(
          rowsKernel(wide),
          { features, masks, y: outputs[0] as Tensor },
          { count, tokens, d: lanes, rows },
          grid(count, threads),
        ),
      ];
    },
  };
}

/** Four channels a thread where D is a multiple of 4, else one. */
export const rowsVariants = [rowsVariant(true), rowsVariant(false)];
