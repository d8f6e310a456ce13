import { type QuantizedDType, quantGroup } from "./quantized.ts";

const bytesOf = (w: string, shift: number) =>
  `vec4<f32>((vec4<u32>(${w}) >> vec4<u32>(${[0, 8, 16, 24].map((b) => `${b + shift}u`).join(", ")})) & vec4<u32>(15u))`;

/**
 * `scale_of(g: u32) -> vec2<f32>` by another name, for weights whose scales are bound as `scales`: d and m of group g.
 */
export function scaleReader(dtype: QuantizedDType, name: string, scales: string): string {
  const half = `unpack2x16float(${scales}[g >> 1u])[g & 1u]`;
  const pair = {
    q8_0: `vec2<f32>(${half}, 0.0)`,
    q4_0: `${half} * vec2<f32>(1.0, -8.0)`,
    q4_1: `unpack2x16float(${scales}[g])`,
  }[dtype];
  return `fn ${name}(g: u32) -> vec2<f32> { return ${pair}; }`;
}

/** `quants_of(w: u32) -> vec4<f32>`: the q of the q8_0 weights in a word. */
export const byteQuants =
  "fn quants_of(w: u32) -> vec4<f32> { return vec4<f32>(vec4<i32>(vec4<u32>(w) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)); }";

/**
 * WGSL to read quantised weights, whose scales are bound as `scales`, an array of u32. A weight is d · q + m, with m = 0 in
 * q8_0 and -8d in q4_0; so is a sum of them, which needs no weight on its own.
 *
 * - `scale_of(g: u32) -> vec2<f32>`: d and m of group g;
 * - q8_0: `quants_of(w: u32) -> vec4<f32>`;
 * - q4_0, q4_1: `low_quants(w: u32)` and `high_quants(w: u32)`, those of weights 4i … 4i + 3 and 16 + 4i … 16 + 4i + 3
 *   where w is word i of its group;
 * - `weights_of(q: vec4<f32>, s: vec2<f32>) -> vec4<f32>`, exactly.
 */
export function quantizedReader(dtype: QuantizedDType): string {
  const scale = scaleReader(dtype, "scale_of", "scales");
  if (dtype === "q8_0") {
    return `
${scale}
${byteQuants}
fn weights_of(q: vec4<f32>, s: vec2<f32>) -> vec4<f32> { return s.x * q; }`;
  }
  return `
${scale}
fn low_quants(w: u32) -> vec4<f32> { return ${bytesOf("w", 0)}; }
fn high_quants(w: u32) -> vec4<f32> { return ${bytesOf("w", 4)}; }
fn weights_of(q: vec4<f32>, s: vec2<f32>) -> vec4<f32> { return s.x * q + s.y; }`;
}

/**
 * `quad_of(g: u32, i: u32) -> vec4<f32>`: weights 4i to 4i + 3 of group g, whose quants are bound as `quants`, an array of
 * u32. For kernels that read each weight once.
 */
export function quadReader(dtype: QuantizedDType): string {
  const words = dtype === "q8_0" ? quantGroup / 4 : quantGroup / 8;
  const quants =
    dtype === "q8_0"
      ? `quants_of(quants[g * ${words}u + i])`
      : `low_quants(quants[g * ${words}u + (i & 3u)] >> (i & 4u))`;
  return `${quantizedReader(dtype)}
fn quad_of(g: u32, i: u32) -> vec4<f32> { return weights_of(${quants}, scale_of(g)); }`;
}
