import { type BindingDecl, read } from "./kernel.ts";
import type { QuantizedDType } from "./quantized.ts";

export interface QuantizedReader {
  readonly quants: BindingDecl;
  readonly scales: BindingDecl;
  readonly code: string;
}

const bytesOfWord = "vec4<u32>(w) >> vec4<u32>(0u, 8u, 16u, 24u)";

/**
 * How kernels read the two planes of a quantised tensor, bound as `quants` (vec4<u32>) and `scales` (u32).
 *
 * - `scale_of(g)`: d and m (0 but in q4_1) of group g.
 * - of a q8_0 group, vec4<u32>s 2g and 2g + 1: `weights8(w, s)`, the four weights of a word.
 * - of a 4-bit group, vec4<u32> g: `low_weights(w, s)`, weights 4i … 4i + 3 of its word i, and `high_weights(w, s)`,
 *   16 + 4i … 16 + 4i + 3.
 */
export function quantizedReader(dtype: QuantizedDType): QuantizedReader {
  const decl = { quants: read("vec4<u32>"), scales: read("u32") };
  const single =
    "fn scale_of(g: u32) -> vec2<f32> { return vec2<f32>(unpack2x16float(scales[g >> 1u])[g & 1u], 0.0); }";
  if (dtype === "q8_0") {
    const code = `${single}
fn weights8(w: u32, s: vec2<f32>) -> vec4<f32> {
  return s.x * vec4<f32>(vec4<i32>(vec4<u32>(w) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}`;
    return { ...decl, code };
  }
  const value = dtype === "q4_0" ? "s.x * (vec4<f32>(q) - 8.0)" : "s.x * vec4<f32>(q) + s.y";
  const scale =
    dtype === "q4_0" ? single : "fn scale_of(g: u32) -> vec2<f32> { return unpack2x16float(scales[g]); }";
  const code = `${scale}
fn weights4(q: vec4<u32>, s: vec2<f32>) -> vec4<f32> { return ${value}; }
fn low_weights(w: u32, s: vec2<f32>) -> vec4<f32> { return weights4((${bytesOfWord}) & vec4<u32>(15u), s); }
fn high_weights(w: u32, s: vec2<f32>) -> vec4<f32> { return weights4((${bytesOfWord.replace("0u, 8u, 16u, 24u", "4u, 12u, 20u, 28u")}) & vec4<u32>(15u), s); }`;
  return { ...decl, code };
}
