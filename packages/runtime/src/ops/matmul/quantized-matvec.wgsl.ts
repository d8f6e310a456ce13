import { grid, kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { quantizedReader } from "../../quantized-reading.ts";
import { epilogueWgsl } from "./epilogue.wgsl.ts";
import { fitsFrame, frameColumns, matvecFrame, mostVectors } from "./matvec-frame.wgsl.ts";
import {
  hasQuantizedWeights,
  type QuantizedKernel,
  quantizedBindings,
  quantizedDispatches,
  quantizedUniforms,
} from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

/** A few rows of A in f32. A group's scale multiplies a sum, not weights. */
function matvecKernel(dtype: QuantizedDType, vectors: number): QuantizedKernel {
  const wide = dtype === "q8_0";
  /** The half group's four vec4s of A, in the order of `quants`. */
  const quads = wide ? [0, 1, 2, 3] : [0, 1, 4, 5];
  const quants = wide
    ? ["quants_of(w.x)", "quants_of(w.y)", "quants_of(w.z)", "quants_of(w.w)"]
    : ["low_quants(w.x)", "low_quants(w.y)", "high_quants(w.x)", "high_quants(w.y)"];
  const x = (v: number) => quads.map((_, i) => `x${v}_${i}`);
  const first = `8u * g + ${wide ? 4 : 2}u * (i & 1u)`;
  return kernel({
    name: `matvec-workgroup-${vectors}x${frameColumns}-${dtype}`,
    bindings: quantizedBindings(wide ? "vec4<u32>" : "vec2<u32>"),
    uniforms: quantizedUniforms,
    code: matvecFrame(vectors, `${quantizedReader(dtype)}\n${epilogueWgsl}`, {
      load: (v) => quads.map((at, i) => `let ${x(v)[i]} = a[8u * a_row${v} + ${first} + ${at}u];`).join(" "),
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
  supports: (inputs, params, { limits }) => hasQuantizedWeights(inputs) && fitsFrame(inputs, params, limits),
  build(context) {
    const { inputs, params } = context;
    const { m } = matmulShape(inputs, params);
    const vectors = [1, 4].find((v) => v >= m) ?? mostVectors;
    return quantizedDispatches(matvecKernel(inputs.b.dtype as QuantizedDType, vectors), context, (_, n) =>
      grid(n, frameColumns),
    );
  },
};
