import { type Dispatch, dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type QuantizedDType, quantGroup, quantizedLayout } from "../../quantized.ts";
import { quadReader } from "../../quantized-reading.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { quantizedWindows, rowsOf, rowWindows } from "../../windows.ts";
import { type DequantizeInputs, type DequantizeParams, quantizedDType } from "./spec.ts";

const workgroup = 64;

/** A thread makes four weights, so that neighbouring threads store neighbouring vec4s. */
function dequantizeKernel(dtype: QuantizedDType, whole: boolean) {
  return kernel({
    name: `dequantize-${dtype}${whole ? "" : "-partial"}`,
    bindings: { quants: read("u32"), scales: read("u32"), y: write(whole ? "vec4<f32>" : "f32") },
    uniforms: { count: "u32", width: "u32", groups: "u32", x_row0: "u32", y_row0: "u32" },
    code: wgsl`
${quadReader(dtype)}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.count) { return; }
  let g = u.x_row0 * u.groups + i / 8u;
  let v = quad_of(g, i % 8u);
#if ${whole}
  y[u.y_row0 * u.groups * 8u + i] = v;
#else
  let k = (i / 8u % u.groups) * ${quantGroup}u + 4u * (i % 8u);
  let at = (u.y_row0 + i / 8u / u.groups) * u.width + k;
  if (k < u.width) { y[at] = v.x; }
  if (k + 1u < u.width) { y[at + 1u] = v.y; }
  if (k + 2u < u.width) { y[at + 2u] = v.z; }
  if (k + 3u < u.width) { y[at + 3u] = v.w; }
#endif
}`,
  });
}

export const groupsVariant: Variant<DequantizeInputs, DequantizeParams> = {
  name: "groups",
  supports: () => true,
  build({ inputs: { x }, outputs, caps }): Dispatch[] {
    const dtype = quantizedDType(x);
    const { rows, width, groups } = quantizedLayout(x.shape, dtype);
    const compiled = dequantizeKernel(dtype, width % quantGroup === 0);
    const y = { tensor: outputs[0] as Tensor, width };
    const sources = quantizedWindows(x, caps);
    return rowWindows(rows, [y], caps).flatMap((to) =>
      sources.flatMap((from) => {
        const first = Math.max(from.start, to.start);
        const count = (Math.min(from.start + from.count, to.start + to.count) - first) * groups * 8;
        if (count <= 0) return [];
        return dispatch(
          compiled,
          { quants: from.quants, scales: from.scales, y: rowsOf(y, to) },
          { count, width, groups, x_row0: first - from.start, y_row0: first - to.start },
          grid(count, workgroup),
        );
      }),
    );
  },
};
