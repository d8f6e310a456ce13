import { finiteHalfBits, halfBits } from "../../half-bits.wgsl.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type DType, sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import type { CastInputs, CastParams } from "./spec.ts";

const workgroup = 64;

/** A thread makes four elements; element types of input and output, and the expression. */
function conversion(from: DType, to: DType, finite: boolean) {
  if (to === "f16") {
    const bits = finite ? "finite_half_bits" : "half_bits";
    return {
      input: "vec4<u32>",
      output: "vec2<u32>",
      code: finite ? halfBits + finiteHalfBits : halfBits,
      expression: `vec2<u32>(${bits}(v.x) | (${bits}(v.y) << 16u), ${bits}(v.z) | (${bits}(v.w) << 16u))`,
    };
  }
  if (from === "f16")
    return {
      input: "vec2<u32>",
      output: "vec4<f32>",
      code: "",
      expression: "vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y))",
    };
  return { input: `vec4<${from}>`, output: "vec4<f32>", code: "", expression: "vec4<f32>(v)" };
}

function castKernel(from: DType, to: DType, finite: boolean) {
  const { input, output, code, expression } = conversion(from, to, finite);
  return kernel({
    name: `cast-${from}-${to}${finite ? "-finite" : ""}`,
    bindings: { x: read(input), y: write(output) },
    uniforms: { quads: "u32" },
    code: wgsl`
${code}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.quads) { return; }
  let v = x[i];
  y[i] = ${expression};
}`,
  });
}

export const flatVariant: Variant<CastInputs, CastParams> = {
  name: "flat",
  supports: () => true,
  build({ inputs: { x }, outputs, params: { to, finite = false }, caps }) {
    const parts = { x: { tensor: x, width: 4 }, y: { tensor: outputs[0] as Tensor, width: 4 } };
    return rowWindows(Math.ceil(sizeOf(x.shape) / 4), Object.values(parts), caps).map((w) =>
      dispatch(
        castKernel(x.dtype, to, finite),
        { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w) },
        { quads: w.count },
        grid(w.count, workgroup),
      ),
    );
  },
};
