import { grid, kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import {
  type IntegerKernel,
  integerBindings,
  integerDispatches,
  integerWgsl,
  isInteger,
} from "./integer-dispatches.ts";
import { fitsFrame, frameColumns, matvecFrame, mostVectors } from "./matvec-frame.wgsl.ts";
import { quantizedUniforms } from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";

const components = ["x", "y", "z", "w"] as const;

/** A few rows of A in q8_0: half groups are multiplied as integers. */
function matvecKernel(dtype: QuantizedDType, vectors: number, packedDot: boolean): IntegerKernel {
  const wide = dtype === "q8_0";
  const words = wide ? "vec4<u32>" : "vec2<u32>";
  /** The words of the half group's quants of A, and of the row of weights. */
  const x = (v: number, i: number) =>
    wide ? `x${v}.${components[i]}` : `x${v}_${i >> 1}.${components[i & 1]}`;
  const w = (i: number) =>
    wide ? `w.${components[i]}` : `((w.${components[i & 1]}${i > 1 ? " >> 4u" : ""}) & 0x0f0f0f0fu)`;
  const dots = (v: number, other: (i: number) => string) =>
    `d${v} * f32(${[0, 1, 2, 3].reduce((sum, i) => `dot_bytes(${x(v, i)}, ${other(i)}, ${sum})`, "0")})`;
  const load = (v: number) =>
    wide
      ? `let x${v} = a_quants[2u * a_row${v} + i];`
      : `let x${v}_0 = a_quants[4u * (a_row${v} + g) + (i & 1u)]; let x${v}_1 = a_quants[4u * (a_row${v} + g) + 2u + (i & 1u)];`;
  return kernel({
    name: `matvec-integer-${vectors}x${frameColumns}-${dtype}${packedDot ? "" : "-unpacked"}`,
    bindings: integerBindings(words, words),
    uniforms: quantizedUniforms,
    code: matvecFrame(vectors, integerWgsl(dtype, packedDot), {
      load: (v) => `let d${v} = a_scale_of(a_row${v} + g); ${load(v)}`,
      ...(!wide && { total: (v) => dots(v, () => "0x01010101u") }),
      product: (v) => `s.x * ${dots(v, w)}`,
    }),
  });
}

export const integerMatvecVariant: Variant<MatmulInputs, MatmulParams> = {
  name: "integer-matvec",
  supports: (inputs, params, { limits }) => isInteger(inputs) && fitsFrame(inputs, params, limits),
  build(context) {
    const { inputs, params, caps } = context;
    const vectors = matmulShape(inputs, params).m === 1 ? 1 : mostVectors;
    const compiled = matvecKernel(inputs.b.dtype as QuantizedDType, vectors, caps.packedDot);
    return integerDispatches(compiled, context, (_, n) => grid(n, frameColumns));
  },
};
