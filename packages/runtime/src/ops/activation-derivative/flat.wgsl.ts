import type { Activation } from "../../activation.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import type { ActivationDerivativeInputs, ActivationDerivativeParams } from "./spec.ts";

const workgroup = 64;

/** `let`s and the result of `fn slope(x: f32) -> f32`. A sigmoid's complement is computed apart, to keep its digits. */
const body: Record<Activation, string> = {
  none: "return 1.0;",
  relu: "return select(0.0, 1.0, x > 0.0);",
  sigmoid: "return sigmoid(x) * sigmoid(-x);",
  silu: "return sigmoid(x) * (1.0 + x * sigmoid(-x));",
  quick_gelu: "return sigmoid(1.702 * x) * (1.0 + 1.702 * x * sigmoid(-1.702 * x));",
  // with z = c (x + 0.044715 x^3): (1 + tanh z) / 2 = sigmoid(2z)
  gelu_tanh: `let z = 0.7978845608028654 * (x + 0.044715 * x * x * x);
  let dz = 0.7978845608028654 * (1.0 + 0.134145 * x * x);
  return sigmoid(2.0 * z) * (1.0 + 2.0 * x * dz * sigmoid(-2.0 * z));`,
  // Phi(x) + x phi(x); Phi's tail as in activation.ts
  gelu: `let z = abs(x) * 0.7071067811865476;
  let t = 1.0 / (1.0 + 0.5 * z);
  let poly = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
    + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let tail = 0.5 * t * exp(-z * z + poly);
  return select(tail, 1.0 - tail, x > 0.0) + x * 0.3989422804014327 * exp(-z * z);`,
};

function flatKernel(activation: Activation) {
  return kernel({
    name: `activation-derivative-${activation}`,
    bindings: { x_in: read("vec4<f32>"), y: write("vec4<f32>") },
    uniforms: { quads: "u32" },
    code: wgsl`
// the clamp keeps products with x finite; beyond it a sigmoid is 0 or 1 in f32
fn sigmoid(x: f32) -> f32 { return 1.0 / (1.0 + exp(-clamp(x, -80.0, 80.0))); }
fn slope(x: f32) -> f32 {
  ${body[activation]}
}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.quads) { return; }
  let v = x_in[i];
  y[i] = vec4<f32>(slope(v.x), slope(v.y), slope(v.z), slope(v.w));
}`,
  });
}

/** Four elements a thread, in windows where the tensors exceed a binding. */
export const flatVariant: Variant<ActivationDerivativeInputs, ActivationDerivativeParams> = {
  name: "flat",
  supports: () => true,
  build({ inputs: { x }, outputs, params, caps }) {
    const parts = { x_in: { tensor: x, width: 4 }, y: { tensor: outputs[0] as Tensor, width: 4 } };
    return rowWindows(Math.ceil(sizeOf(x.shape) / 4), Object.values(parts), caps).map((w) =>
      dispatch(
        flatKernel(params.activation),
        { x_in: rowsOf(parts.x_in, w), y: rowsOf(parts.y, w) },
        { quads: w.count },
        grid(w.count, workgroup),
      ),
    );
  },
};
