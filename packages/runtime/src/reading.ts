import type { Capabilities } from "./capabilities.ts";
import { type BindingDecl, read } from "./kernel.ts";
import type { DType } from "./tensor.ts";

/**
 * How a kernel reads a float tensor: `f16` needs the WGSL extension, `packed` reads the same bytes as pairs in a u32 and
 * works everywhere. Arithmetic is f32 in all of them.
 */
export type FloatStorage = "f32" | "f16" | "packed";

/** The ways in which a tensor of `dtype` can be read on this device, the preferred one first. */
export function floatStorages(dtype: DType, caps: Capabilities): FloatStorage[] {
  if (dtype === "f32") return ["f32"];
  if (dtype === "f16") return caps.f16 ? ["f16", "packed"] : ["packed"];
  return [];
}

export interface Reader {
  readonly decl: BindingDecl;
  /** `fn load_NAME(i: u32) -> f32` and, for `wide`, `fn load4_NAME(quad: u32) -> vec4<f32>`. */
  readonly code: string;
  readonly enable: readonly string[];
}

/**
 * Declares a float binding and its accessors. `wide` binds whole vec4s: `load4_NAME(q)` gives elements 4q to 4q+3, and
 * `load_NAME(i)` still gives one.
 */
export function reader(name: string, storage: FloatStorage, wide: boolean): Reader {
  const enable = storage === "f16" ? ["f16"] : [];
  if (storage === "packed") {
    const decl = read(wide ? "vec2<u32>" : "u32");
    const word = wide ? `${name}[i >> 2u][(i >> 1u) & 1u]` : `${name}[i >> 1u]`;
    const one = `fn load_${name}(i: u32) -> f32 { return unpack2x16float(${word})[i & 1u]; }`;
    const four = `fn load4_${name}(q: u32) -> vec4<f32> { let w = ${name}[q]; return vec4<f32>(unpack2x16float(w.x), unpack2x16float(w.y)); }`;
    return { decl, enable, code: wide ? `${one}\n${four}` : one };
  }
  const decl = read(wide ? `vec4<${storage}>` : storage);
  const one = `fn load_${name}(i: u32) -> f32 { return f32(${wide ? `${name}[i >> 2u][i & 3u]` : `${name}[i]`}); }`;
  const four = `fn load4_${name}(q: u32) -> vec4<f32> { return vec4<f32>(${name}[q]); }`;
  return { decl, enable, code: wide ? `${one}\n${four}` : one };
}
