import {
  type Dispatch,
  dispatch,
  grid,
  type Kernel,
  kernel,
  read,
  type UniformType,
  write,
} from "../../kernel.ts";
import type { BuildContext } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type LegradMapInputs, type LegradMapParams, legradMapShape } from "./spec.ts";

export const mapBindings = {
  a: read("vec4<f32>"),
  b: read("vec4<f32>"),
  partial: write("f32"),
  signs: write("u32"),
} as const;

export const mapUniforms = {
  tokens: "u32",
  heads: "u32",
  /** d: elements of a head; K of the products. */
  k: "u32",
  blocks: "u32",
} as const satisfies Record<string, UniformType>;

const workgroup = 64;

const sumKernel = kernel({
  name: "legrad-map-sum",
  bindings: { partial: read("f32"), y: write("f32") },
  uniforms: { count: "u32", tokens: "u32", sums: "u32", scale: "f32" },
  code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.count) { return; }
  let first = (i / u.tokens) * u.sums * u.tokens + i % u.tokens;
  var sum = 0.0;
  for (var s = 0u; s < u.sums; s++) { sum += partial[first + s * u.tokens]; }
  y[i] = sum * u.scale;
}`,
});

/**
 * The dispatches of a map: sums of columns a head, then their sum over the heads; in windows of masks where a tensor exceeds
 * a binding. `columns`: how many tokens j a workgroup takes; `sums`: how many sums of a column it writes.
 */
export function mapDispatches(
  compiled: Kernel<keyof typeof mapBindings, keyof typeof mapUniforms>,
  { columns, sums }: { readonly columns: number; readonly sums: number },
  { inputs, outputs, params, caps, scratch }: BuildContext<LegradMapInputs, LegradMapParams>,
): Dispatch[] {
  const { masks, tokens, heads, size, blocks } = legradMapShape(inputs, params);
  const [relevance, signs] = outputs as [Tensor, Tensor];
  const partial = scratch({ shape: [masks, heads, sums, tokens], dtype: "f32" });
  const parts = {
    a: { tensor: inputs.gradient, width: tokens * heads * size },
    partial: { tensor: partial, width: heads * sums * tokens },
    signs: { tensor: signs, width: heads * blocks * tokens },
    y: { tensor: relevance, width: tokens },
  };
  return rowWindows(masks, Object.values(parts), caps).flatMap((w) => [
    dispatch(
      compiled,
      {
        a: rowsOf(parts.a, w),
        b: inputs.values,
        partial: rowsOf(parts.partial, w),
        signs: rowsOf(parts.signs, w),
      },
      { tokens, heads, k: size, blocks },
      [Math.ceil(tokens / columns), heads, w.count],
    ),
    dispatch(
      sumKernel,
      { partial: rowsOf(parts.partial, w), y: rowsOf(parts.y, w) },
      { count: w.count * tokens, tokens, sums: heads * sums, scale: 1 / (heads * tokens) },
      grid(w.count * tokens, workgroup),
    ),
  ]);
}
