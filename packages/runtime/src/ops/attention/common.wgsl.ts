import type { Capabilities } from "../../capabilities.ts";
import {
  type Bindable,
  type BindingDecl,
  read,
  type TensorWindow,
  type UniformType,
  write,
} from "../../kernel.ts";
import type { Tensors } from "../../op.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { f32, wgsl } from "../../wgsl.ts";
import { type Rows, type RowWindow, rowsOf, rowWindows } from "../../windows.ts";
import { type KeyStorage, keyBindings, keyCode, keyRows, keyStorages } from "./key-reading.ts";
import {
  type AttentionInputs,
  type AttentionParams,
  type AttentionShape,
  attentionShape,
  maskedBelow,
} from "./spec.ts";

/** What the WGSL of all variants depends on. Head size is baked in as `quads`, everything else is a uniform. */
export interface CommonSpec {
  readonly storage: KeyStorage;
  /** Vec4s that hold a head: ceil(D / 4). */
  readonly quads: number;
  /** D is a multiple of 4: heads are read and written as vec4s. */
  readonly wide: boolean;
  readonly causal: boolean;
  readonly start: boolean;
  readonly bias: boolean;
  readonly relative: boolean;
}

export function commonSpec(
  storage: KeyStorage,
  inputs: AttentionInputs,
  params: AttentionParams,
): CommonSpec {
  const size = inputs.q.shape.at(-1) as number;
  return {
    storage,
    quads: Math.ceil(size / 4),
    wide: size % 4 === 0,
    causal: params.causal,
    start: !!inputs.start,
    bias: !!inputs.bias,
    relative: !!inputs.relH,
  };
}

export function readsKeys(storage: KeyStorage, inputs: AttentionInputs, caps: Capabilities): boolean {
  return keyStorages(inputs.k.dtype, caps).includes(storage);
}

export function commonBindings(spec: CommonSpec) {
  const { wide, start, bias, relative } = spec;
  const vector = wide ? "vec4<f32>" : "f32";
  return {
    q: read(vector),
    ...keyBindings(spec),
    start: start ? read("u32") : undefined,
    bias: bias ? read("f32") : undefined,
    rel_h: relative ? read("f32") : undefined,
    rel_w: relative ? read("f32") : undefined,
  } satisfies Record<string, BindingDecl | undefined>;
}

/** The output, bound as heads are: whole vec4s where the head size allows. */
export function outputBinding({ wide }: CommonSpec): BindingDecl {
  return write(wide ? "vec4<f32>" : "f32");
}

export const commonUniforms = {
  tq: "u32",
  tk: "u32",
  heads: "u32",
  kv_heads: "u32",
  group: "u32",
  size: "u32",
  /** = ceil(size / 4), but as a uniform, so that drivers keep loops over it rolled. */
  quads: "u32",
  scale: "f32",
  /** Position of the first query where `start` is absent. */
  first: "i32",
  /** First batch item of this window: `start` is not windowed. */
  batch0: "u32",
  bias_b: "u32",
  bias_h: "u32",
  bias_q: "u32",
  kh: "u32",
  kw: "u32",
} as const satisfies Record<string, UniformType>;

export function commonEnable({ storage }: CommonSpec): readonly string[] {
  return storage === "f16" ? ["f16"] : [];
}

/**
 * Accessors. A *row* is a query of a head; those of the `group` heads that share a key-value head are numbered
 * i · group + head, so that they share its tiles. `visible(b, i)`: keys 0 .. visible-1 are seen by query i.
 * `score(...)` is `masked` where the bias masks the key; f32's infinities are kept out, as WGSL does not define them.
 */
export function commonCode(spec: CommonSpec): string {
  const { wide, causal, start, bias, relative } = spec;
  return wgsl`
const masked = ${f32(maskedBelow)};
${keyCode(spec)}
fn head_of(kv_head: u32, row: u32) -> u32 { return kv_head * u.group + row % u.group; }
fn query_of(row: u32) -> u32 { return row / u.group; }
fn q_at(b: u32, kv_head: u32, row: u32) -> u32 {
  return (b * u.tq + query_of(row)) * u.heads + head_of(kv_head, row);
}
fn k_at(b: u32, kv_head: u32, j: u32) -> u32 { return (b * u.tk + j) * u.kv_heads + kv_head; }
#if ${wide}
fn q_quad(at: u32, c: u32) -> vec4<f32> { return q[at * u.quads + c]; }
#else
fn q_quad(at: u32, c: u32) -> vec4<f32> {
  var r = vec4<f32>();
  for (var e = 0u; e < min(4u, u.size - 4u * c); e++) { r[e] = q[at * u.size + 4u * c + e]; }
  return r;
}
#endif
fn visible(b: u32, i: u32) -> u32 {
#if ${!causal}
  return u.tk;
#elif ${start}
  return min(u.tk, start[u.batch0 + b] + i + 1u);
#else
  return u32(clamp(u.first + i32(i) + 1, 0, i32(u.tk)));
#endif
}
fn score(dot_product: f32, b: u32, kv_head: u32, row: u32, j: u32) -> f32 {
#if ${bias || relative}
  let h = head_of(kv_head, row);
  let i = query_of(row);
  var added = 0.0;
#if ${bias}
  added += bias[b * u.bias_b + h * u.bias_h + i * u.bias_q + j];
#endif
#if ${relative}
  let rel = (b * u.heads + h) * u.tq + i;
  added += rel_h[rel * u.kh + j / u.kw] + rel_w[rel * u.kw + j % u.kw];
#endif
  return select(u.scale * dot_product + added, masked, added <= masked);
#else
  return u.scale * dot_product;
#endif
}`;
}

/** `store_quad(at, c, value)` into the output y. */
export function storeCode({ wide }: CommonSpec): string {
  return wgsl`
#if ${wide}
fn store_quad(at: u32, c: u32, value: vec4<f32>) { y[at * u.quads + c] = value; }
#else
fn store_quad(at: u32, c: u32, value: vec4<f32>) {
  for (var e = 0u; e < min(4u, u.size - 4u * c); e++) { y[at * u.size + 4u * c + e] = value[e]; }
}
#endif`;
}

/** One window of batch items: all of them, unless a tensor exceeds a binding. */
export interface BatchWindow {
  readonly batch: number;
  readonly tensors: { readonly [name in keyof ReturnType<typeof commonBindings>]: Bindable | undefined };
  readonly uniforms: { readonly [name in keyof typeof commonUniforms]: number };
  /** The window of another tensor whose first axis is the batch. */
  readonly windowOf: (tensor: Tensor) => TensorWindow;
}

/** Windows over the batch. Throws KernelError where a single item exceeds a binding. */
export function batchWindows(
  inputs: Tensors<AttentionInputs>,
  params: AttentionParams,
  others: readonly Tensor[],
  caps: Capabilities,
): BatchWindow[] {
  const { q, k, v, start, bias, relH, relW } = inputs;
  const shape: AttentionShape = attentionShape(inputs, params);
  const { batch, tq, tk, heads, kvHeads, group, size, kh, kw } = shape;
  const rows = (tensor: Tensor): Rows => ({ tensor, width: sizeOf(tensor.shape.slice(1)) });
  const keys = keyRows(k);
  const values = keyRows(v);
  const perBatch = [
    ...[q, relH, relW, ...others].flatMap((t) => (t ? [rows(t)] : [])),
    ...[keys, values].flatMap((t) => [t.values, ...(t.scales ? [t.scales] : [])]),
  ];
  const [biasB, biasH, biasQ] = (bias?.shape ?? [1, 1, 1]) as [number, number, number];
  const batched = bias && biasB > 1 ? [rows(bias)] : [];
  return rowWindows(batch, [...perBatch, ...batched], caps).map((window: RowWindow) => {
    const windowOf = (tensor: Tensor) => rowsOf(rows(tensor), window);
    return {
      batch: window.count,
      windowOf,
      tensors: {
        q: windowOf(q),
        k: rowsOf(keys.values, window),
        k_scales: keys.scales && rowsOf(keys.scales, window),
        v: rowsOf(values.values, window),
        v_scales: values.scales && rowsOf(values.scales, window),
        start,
        bias: bias && biasB > 1 ? windowOf(bias) : bias,
        rel_h: relH && windowOf(relH),
        rel_w: relW && windowOf(relW),
      },
      uniforms: {
        tq,
        tk,
        heads,
        kv_heads: kvHeads,
        group,
        size,
        quads: Math.ceil(size / 4),
        scale: params.scale,
        first: tk - tq,
        batch0: window.start,
        bias_b: biasB > 1 ? biasH * biasQ * tk : 0,
        bias_h: biasH > 1 ? biasQ * tk : 0,
        bias_q: biasQ > 1 ? tk : 0,
        kh,
        kw: Math.max(kw, 1),
      },
    };
  });
}
