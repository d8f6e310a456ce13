import { dispatch, grid, kernel, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { isQuantized } from "../../quantized.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { hashPcg, type RandomUniformInputs, type RandomUniformParams } from "./spec.ts";

const workgroup = 64;

export const pcgWgsl = `
fn pcg(v: u32) -> u32 {
  let state = v * 747796405u + 2891336453u;
  let word = ((state >> ((state >> 28u) + 4u)) ^ state) * 277803737u;
  return (word >> 22u) ^ word;
}`;

/** A thread writes one 32-bit word: one f32, or two halves. */
function fillKernel(half: boolean) {
  return kernel({
    name: `random-uniform-${half ? "f16" : "f32"}`,
    bindings: { y: write("u32") },
    uniforms: { words: "u32", word0: "u32", seed: "u32", range: "f32", mean: "f32" },
    code: wgsl`
${pcgWgsl}
fn value(i: u32) -> f32 {
  return u.mean + u.range * (f32(pcg(i ^ u.seed) >> 8u) / 8388608.0 - 1.0);
}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let w = flat_invocation(gid, nwg, ${workgroup}u);
  if (w >= u.words) { return; }
  let i = u.word0 + w;
#if ${half}
  y[w] = pack2x16float(vec2f(value(2u * i), value(2u * i + 1u)));
#else
  y[w] = bitcast<u32>(value(i));
#endif
}`,
  });
}

export const fillVariant: Variant<RandomUniformInputs, RandomUniformParams> = {
  name: "fill",
  supports: ({ target }) => !isQuantized(target.dtype),
  build({ inputs: { target }, params, caps }) {
    const half = target.dtype === "f16";
    const part = { tensor: target, width: half ? 2 : 1 };
    return rowWindows(Math.ceil(target.size / part.width), [part], caps).map((w) =>
      dispatch(
        fillKernel(half),
        { y: rowsOf(part, w) },
        {
          words: w.count,
          word0: w.start,
          seed: hashPcg(params.seed),
          range: params.range,
          mean: params.mean,
        },
        grid(w.count, workgroup),
      ),
    );
  },
};
