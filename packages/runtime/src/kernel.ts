import { KernelError } from "./errors.ts";
import type { Tensor } from "./tensor.ts";

/** How a kernel uses a binding, and the WGSL type of its array elements. */
export interface BindingDecl {
  readonly access: "read" | "read_write";
  /** e.g. `f32`, `vec4<f32>`, `f16`, `vec2<u32>`, `atomic<u32>`. */
  readonly element: string;
}

export function read(element: string): BindingDecl {
  return { access: "read", element };
}

export function write(element: string): BindingDecl {
  return { access: "read_write", element };
}

export type UniformType = "u32" | "i32" | "f32";

export interface KernelDecl<B extends string, U extends string> {
  readonly name: string;
  /** In order of binding number; undefined ones (an absent bias) are left out. */
  readonly bindings: Readonly<Record<B, BindingDecl | undefined>>;
  /** Scalars, visible in WGSL as `u.<name>`. Shapes belong here, so that token counts share pipelines. */
  readonly uniforms: Readonly<Record<U, UniformType>>;
  /** WGSL extensions to enable: `f16`, `subgroups`, `chromium_experimental_subgroup_matrix`. */
  readonly enable?: readonly string[];
  /** Functions and the entry point `main`. */
  readonly code: string;
}

/** A complete WGSL module and what it binds. Two kernels with equal `source` share a pipeline. */
export interface Kernel<B extends string = string, U extends string = string> {
  readonly name: string;
  readonly source: string;
  readonly bindings: readonly { name: B; access: "read" | "read_write" }[];
  readonly uniforms: readonly { name: U; type: UniformType }[];
}

/**
 * Declares a kernel: bindings are numbered in order, uniforms become `u: Uniforms` behind them, and two helpers are
 * there for grids of more than 65,535 workgroups: `flat_workgroup(wid, nwg)` and `flat_invocation(gid, nwg, size)`.
 */
export function kernel<B extends string, U extends string>(decl: KernelDecl<B, U>): Kernel<B, U> {
  const declared = Object.entries(decl.bindings) as [B, BindingDecl | undefined][];
  const bindings = declared.flatMap(([name, b]) => (b ? [[name, b] as const] : []));
  const uniforms = Object.entries(decl.uniforms) as [U, UniformType][];
  const lines = (decl.enable ?? []).map((name) => `enable ${name};`);
  if (uniforms.length) lines.push(`struct Uniforms { ${uniforms.map(([n, t]) => `${n}: ${t}`).join(", ")} }`);
  bindings.forEach(([name, { access, element }], i) => {
    lines.push(`@group(0) @binding(${i}) var<storage, ${access}> ${name}: array<${element}>;`);
  });
  if (uniforms.length) lines.push(`@group(0) @binding(${bindings.length}) var<uniform> u: Uniforms;`);
  if (decl.code.includes("flat_workgroup(")) {
    lines.push("fn flat_workgroup(wid: vec3u, nwg: vec3u) -> u32 { return wid.x + wid.y * nwg.x; }");
  }
  if (decl.code.includes("flat_invocation(")) {
    lines.push(
      "fn flat_invocation(gid: vec3u, nwg: vec3u, size: u32) -> u32 { return gid.x + gid.y * nwg.x * size; }",
    );
  }
  return {
    name: decl.name,
    source: `${lines.join("\n")}\n${decl.code.trim()}\n`,
    bindings: bindings.map(([name, { access }]) => ({ name, access })),
    uniforms: uniforms.map(([name, type]) => ({ name, type })),
  };
}

/** A part of a tensor, in elements: how a tensor larger than one binding is walked in windows. */
export interface TensorWindow {
  readonly tensor: Tensor;
  readonly start: number;
  readonly length: number;
}

/** A part of a tensor, in bytes: a plane of a quantised tensor, or rows of one. */
export interface TensorBytes {
  readonly tensor: Tensor;
  readonly offset: number;
  readonly bytes: number;
}

/** What a dispatch binds: a whole tensor or a part of one. */
export type Bindable = Tensor | TensorWindow | TensorBytes;

/** One dispatch of a kernel: tensors by binding name, uniforms by name, workgroups. */
export interface Dispatch {
  readonly kernel: Kernel;
  readonly tensors: Readonly<Record<string, Bindable | undefined>>;
  readonly uniforms: Readonly<Record<string, number>>;
  readonly workgroups: readonly [number, number, number];
}

/** Typed constructor of a Dispatch: misspelt bindings and uniforms do not compile. */
export function dispatch<B extends string, U extends string>(
  kernel: Kernel<B, U>,
  tensors: Record<B, Bindable | undefined>,
  uniforms: Record<U, number>,
  workgroups: readonly [number, number?, number?],
): Dispatch {
  return { kernel, tensors, uniforms, workgroups: [workgroups[0], workgroups[1] ?? 1, workgroups[2] ?? 1] };
}

const maxGrid = 65535;

/** Workgroups for `count` work items of `size` a workgroup, folded into two dimensions where one does not hold them. */
export function grid(count: number, size = 1): [number, number] {
  const groups = Math.ceil(count / size);
  if (groups <= maxGrid) return [Math.max(groups, 1), 1];
  const y = Math.ceil(groups / maxGrid);
  return [Math.ceil(groups / y), y];
}

/** Packs uniforms in declaration order, 4 bytes each, padded to 16. */
export function packUniforms(d: Dispatch): ArrayBuffer {
  const { uniforms, name } = d.kernel;
  const bytes = new ArrayBuffer(Math.ceil((uniforms.length * 4) / 16) * 16);
  const view = new DataView(bytes);
  uniforms.forEach((field, i) => {
    const value = d.uniforms[field.name];
    const fits =
      field.type === "f32"
        ? typeof value === "number" && !Number.isNaN(value)
        : Number.isInteger(value) &&
          (value as number) >= (field.type === "u32" ? 0 : -(2 ** 31)) &&
          (value as number) < 2 ** 32;
    if (value === undefined || !fits) {
      throw new KernelError(`kernel ${name}: uniform ${field.name} (${field.type}) is ${value}`);
    }
    if (field.type === "f32") view.setFloat32(i * 4, value, true);
    else if (field.type === "u32") view.setUint32(i * 4, value, true);
    else view.setInt32(i * 4, value, true);
  });
  return bytes;
}
