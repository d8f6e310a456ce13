import type { Capabilities } from "../../capabilities.ts";
import { type BindingDecl, read } from "../../kernel.ts";
import { isQuantized, quantGroup } from "../../quantized.ts";
import { byteQuants, scaleReader } from "../../quantized-reading.ts";
import { type FloatStorage, floatStorages, reader } from "../../reading.ts";
import { type DType, sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { type PlaneRows, planeRows, type Rows } from "../../windows.ts";

/** How kernels read keys and values: as floats, or from the planes of q8_0, which are bound apart. */
export type KeyStorage = FloatStorage | "q8_0";

/** What the WGSL that reads keys and values depends on. */
interface KeySpec {
  readonly storage: KeyStorage;
  /** Vec4s that hold a head: ceil(D / 4). */
  readonly quads: number;
  /** D is a multiple of 4. */
  readonly wide: boolean;
}

/** The ways in which keys of `dtype` can be read on this device. */
export function keyStorages(dtype: DType, caps: Capabilities): KeyStorage[] {
  return dtype === "q8_0" ? ["q8_0"] : floatStorages(dtype, caps);
}

export function keyBindings({ storage, wide }: KeySpec) {
  const planes = storage === "q8_0";
  const values = planes ? read("u32") : undefined;
  return {
    k: values ?? reader("k", storage as FloatStorage, wide).decl,
    k_scales: values,
    v: values ?? reader("v", storage as FloatStorage, wide).decl,
    v_scales: values,
  } satisfies Record<string, BindingDecl | undefined>;
}

/**
 * `k_quad(at, c)` and `v_quad(at, c)`: elements 4c to 4c + 3 of row `at`, which is a position of a key-value head; those at or
 * beyond D are zero.
 */
export function keyCode(spec: KeySpec): string {
  const planes = spec.storage === "q8_0" ? byteQuants : "";
  return `${planes}\n${quadCode("k", spec)}\n${quadCode("v", spec)}`;
}

function quadCode(name: "k" | "v", { storage, quads, wide }: KeySpec): string {
  if (storage === "q8_0") {
    // rows are padded to whole groups with zeros, so that they are read as whole words whatever D is
    const words = quantGroup / 4;
    const groups = Math.ceil(quads / words);
    return wgsl`
${scaleReader("q8_0", `${name}_scale`, `${name}_scales`)}
fn ${name}_quad(at: u32, c: u32) -> vec4<f32> {
  return ${name}_scale(at * ${groups}u + c / ${words}u).x * quants_of(${name}[at * ${groups * words}u + c]);
}`;
  }
  return wgsl`
${reader(name, storage, wide).code}
#if ${wide}
fn ${name}_quad(at: u32, c: u32) -> vec4<f32> { return load4_${name}(at * u.quads + c); }
#else
fn ${name}_quad(at: u32, c: u32) -> vec4<f32> {
  var r = vec4<f32>();
  for (var e = 0u; e < min(4u, u.size - 4u * c); e++) { r[e] = load_${name}(at * u.size + 4u * c + e); }
  return r;
}
#endif`;
}

/** Keys or values [B, Tk, Hkv, D] as a row a batch item: elements, or both planes. */
export function keyRows(tensor: Tensor): {
  readonly values: Rows | PlaneRows;
  readonly scales: PlaneRows | undefined;
} {
  if (isQuantized(tensor.dtype)) {
    const { quants, scales } = planeRows(tensor, sizeOf(tensor.shape.slice(1, 3)));
    return { values: quants, scales };
  }
  return { values: { tensor, width: sizeOf(tensor.shape.slice(1)) }, scales: undefined };
}
