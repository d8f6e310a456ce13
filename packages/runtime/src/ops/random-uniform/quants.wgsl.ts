import { type Dispatch, dispatch, grid, kernel, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { isQuantized, type QuantizedDType, quantizedLayout } from "../../quantized.ts";
import { wgsl } from "../../wgsl.ts";
import { quantizedWindows } from "../../windows.ts";
import { pcgWgsl } from "./fill.wgsl.ts";
import {
  hashPcg,
  type RandomUniformInputs,
  type RandomUniformParams,
  uniformScales,
  wordsOfGroup,
} from "./spec.ts";

const workgroup = 64;

/** A thread writes a word of quants, or of the one scale. */
const fillKernel = kernel({
  name: "random-uniform-quants",
  bindings: { y: write("u32") },
  uniforms: { words: "u32", word0: "u32", seed: "u32", hashed: "u32", scales: "u32" },
  code: wgsl`
${pcgWgsl}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let w = flat_invocation(gid, nwg, ${workgroup}u);
  if (w >= u.words) { return; }
  y[w] = select(u.scales, pcg((u.word0 + w) ^ u.seed), u.hashed != 0u);
}`,
});

export const quantsVariant: Variant<RandomUniformInputs, RandomUniformParams> = {
  name: "quants",
  supports: ({ target }) => isQuantized(target.dtype),
  build({ inputs: { target }, params, caps }): Dispatch[] {
    const dtype = target.dtype as QuantizedDType;
    const { groups } = quantizedLayout(target.shape, dtype);
    const common = { seed: hashPcg(params.seed), scales: uniformScales(dtype, params) };
    return quantizedWindows(target, caps).flatMap(({ start, count, quants, scales }) => {
      const words = count * groups * wordsOfGroup(dtype);
      const scaleWords = Math.ceil(scales.bytes / 4);
      const word0 = start * groups * wordsOfGroup(dtype);
      return [
        dispatch(fillKernel, { y: quants }, { ...common, words, word0, hashed: 1 }, grid(words, workgroup)),
        dispatch(
          fillKernel,
          { y: scales },
          { ...common, words: scaleWords, word0: 0, hashed: 0 },
          grid(scaleWords, workgroup),
        ),
      ];
    });
  },
};
