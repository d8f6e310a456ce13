import { activationWgsl } from "../../activation.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import type { UnaryInputs, UnaryKind, UnaryParams } from "./spec.ts";

const workgroup = 64;

/** Functions that WGSL has for vectors. */
const builtin: Partial<Record<UnaryKind, string>> = {
  relu: "max(v, vec4<f32>(0.0))",
  // tanh() overflows to NaN for large arguments on some drivers; beyond 10 it is 1 in f32
  tanh: "tanh(clamp(v, vec4<f32>(-10.0), vec4<f32>(10.0)))",
  exp: "exp(v)",
  log: "log(v)",
  neg: "-v",
  sqrt: "sqrt(v)",
  rsqrt: "inverseSqrt(v)",
  reciprocal: "1.0 / v",
  abs: "abs(v)",
  square: "v * v",
  clamp: "min(max(v, vec4<f32>(u.a)), vec4<f32>(u.b))",
  affine: "u.a * v + u.b",
  greater: "select(vec4<f32>(0.0), vec4<f32>(1.0), v > vec4<f32>(u.a))",
};

/**
 * WGSL promises sin and cos to 2^-11 only, and SwiftShader keeps to that. The argument loses its multiple of pi in three
 * steps (Cody and Waite), then the Taylor series to r^13 is good to 1e-9 on [-pi/2, pi/2]. Good to 1e-6 up to some 1000.
 */
function sineWgsl(kind: "sin" | "cos"): string {
  const shift = kind === "cos" ? 0.5 : 0;
  return `
fn sine(x: vec4<f32>) -> vec4<f32> {
  let m = round(x * 0.3183098861837907 + ${shift});
  let n = m - ${shift};
  let r = ((x - n * 3.140625) - n * 9.67502593994140625e-4) - n * 1.509957990978376e-7;
  let s = r * r;
  let series = s * (-1.0 / 6.0 + s * (1.0 / 120.0 + s * (-1.0 / 5040.0 + s * (1.0 / 362880.0
    + s * (-1.0 / 39916800.0 + s / 6227020800.0)))));
  return (r + r * series) * (1.0 - 2.0 * (m - 2.0 * floor(m * 0.5)));
}`;
}

function body(kind: UnaryKind): { code: string; expression: string } {
  const expression = builtin[kind];
  if (expression) return { code: "", expression };
  switch (kind) {
    case "gelu":
    case "gelu_tanh":
    case "quick_gelu":
    case "silu":
    case "sigmoid":
      return {
        code: activationWgsl(kind),
        expression: "vec4<f32>(activate(v.x), activate(v.y), activate(v.z), activate(v.w))",
      };
    case "sin":
    case "cos":
      return { code: sineWgsl(kind), expression: "sine(v)" };
    default:
      throw new Error(`unary: no WGSL for ${kind}`);
  }
}

function flatKernel(kind: UnaryKind) {
  const { code, expression } = body(kind);
  return kernel({
    name: `unary-${kind}`,
    bindings: { x: read("vec4<f32>"), y: write("vec4<f32>") },
    uniforms: { quads: "u32", a: "f32", b: "f32" },
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

/** Four elements a thread: tensors are padded to whole vec4s. Windows where they exceed a binding. */
export const flatVariant: Variant<UnaryInputs, UnaryParams> = {
  name: "flat",
  supports: () => true,
  build({ inputs: { x }, outputs, params: { kind, a, b }, caps }) {
    const parts = { x: { tensor: x, width: 4 }, y: { tensor: outputs[0] as Tensor, width: 4 } };
    return rowWindows(Math.ceil(sizeOf(x.shape) / 4), Object.values(parts), caps).map((w) =>
      dispatch(
        flatKernel(kind),
        { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w) },
        { quads: w.count, a, b },
        grid(w.count, workgroup),
      ),
    );
  },
};
