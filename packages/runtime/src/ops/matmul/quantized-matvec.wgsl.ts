import { grid, kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { quantizedReader, scaleReader } from "../../quantized-reading.ts";
import { epilogueWgsl, gatedEpilogueWgsl } from "./epilogue.wgsl.ts";
import { type Fused, fusedOf, suffixOf, wholeGroups } from "./fused.ts";
import { fitsFrame, frameColumns, frameOutputs, matvecFrame, mostVectors } from "./matvec-frame.wgsl.ts";
import {
  hasQuantizedWeights,
  type QuantizedKernel,
  quantizedBindings,
  quantizedDispatches,
  quantizedUniforms,
} from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

/** A few rows of A in f32. A group's scale multiplies a sum, not weights. */
function matvecKernel(dtype: QuantizedDType, vectors: number, { normed, gated }: Fused): QuantizedKernel {
  const wide = dtype === "q8_0";
  /** The half group's four vec4s of A, in the order of `quants`. */
  const quads = wide ? [0, 1, 2, 3] : [0, 1, 4, 5];
  const quants = wide
    ? ["quants_of(w.x)", "quants_of(w.y)", "quants_of(w.z)", "quants_of(w.w)"]
    : ["low_quants(w.x)", "low_quants(w.y)", "high_quants(w.x)", "high_quants(w.y)"];
  const x = (v: number) => quads.map((_, i) => `x${v}_${i}`);
  const first = `8u * g + ${wide ? 4 : 2}u * (i & 1u)`;
  const loadOf = (name: string, v: number, at: number) => {
    const value = `a[8u * a_row${v} + ${first} + ${at}u]`;
    return normed
      ? `let raw_${name} = ${value}; let ${name} = raw_${name} * gain[${first} + ${at}u];`
      : `let ${name} = ${value};`;
  };
  const code = [
    quantizedReader(dtype),
    gated ? scaleReader(dtype, "up_scale_of", "up_scales") : "",
    gated ? gatedEpilogueWgsl : epilogueWgsl,
  ].join("\n");
  return kernel({
    name: `matvec-workgroup-${vectors}x${frameColumns}-${dtype}${suffixOf({ normed, gated })}`,
    bindings: quantizedBindings(wide ? "vec4<u32>" : "vec2<u32>", { normed, gated }),
    uniforms: quantizedUniforms,
    code: matvecFrame(vectors, code, {
      load: (v) => quads.map((at, i) => loadOf(x(v)[i] as string, v, at)).join(" "),
      ...(normed && {
        squares: (v: number) =>
          x(v)
            .map((name) => `dot(raw_${name}, raw_${name})`)
            .join(" + "),
      }),
      gated,
      ...(!wide && { total: (v) => `dot(${x(v).join(" + ")}, vec4<f32>(1.0))` }),
      unpack: quants.map((code, i) => `let q${i} = ${code};`).join(" "),
      product: (v) =>
        `s.x * (${x(v)
          .map((name, i) => `dot(${name}, q${i})`)
          .join(" + ")})`,
    }),
  });
}

/** For M up to 8, as in decoding, where the weights are what has to be read. */
export const quantizedMatvecVariant: Variant<MatmulInputs, MatmulParams> = {
  name: "quantized-matvec",
  supports: (inputs, params, { limits }) =>
    hasQuantizedWeights(inputs) && wholeGroups(inputs) && fitsFrame(inputs, params, limits),
  build(context) {
    const { inputs, params } = context;
    const { m } = matmulShape(inputs, params);
    const vectors = [1, 4].find((v) => v >= m) ?? mostVectors;
    const fused = fusedOf(inputs);
    const compiled = matvecKernel(inputs.b.dtype as QuantizedDType, vectors, fused);
    return quantizedDispatches(compiled, context, (_, n) => grid(n, frameOutputs(fused.gated)));
  },
};
