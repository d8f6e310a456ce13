import type { Capabilities } from "../../capabilities.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, floatStorages } from "../../reading.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { rotationCode } from "./rotation.wgsl.ts";
import { appendShape, type RopeAppendInputs, type RopeParams } from "./spec.ts";

/** Four elements of a cache, and how they are made of four f32. */
const quadTypes: Record<FloatStorage, { readonly element: string; readonly made: string }> = {
  f32: { element: "vec4<f32>", made: "v" },
  f16: { element: "vec4<f16>", made: "vec4<f16>(v)" },
  packed: { element: "vec2<u32>", made: "vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw))" },
};

/**
 * A workgroup for a position of some heads. Its threads lie side by side over a head's pairs, four at once, and find an
 * angle's cosine and sine once for all of their heads; no thread divides. Queries are turned; keys are turned into the
 * cache, and values copied there.
 */
function quadsKernel(storage: FloatStorage, threads: number) {
  const { element, made } = quadTypes[storage];
  return kernel({
    name: `rope-append-quads-${storage}-${threads}`,
    bindings: {
      qkv: read("vec4<f32>"),
      inv_freq: read("vec4<f32>"),
      start: read("u32"),
      k_cache: write(element),
      v_cache: write(element),
      y: write("vec4<f32>"),
    },
    uniforms: {
      rows: "u32",
      length: "u32",
      capacity: "u32",
      heads: "u32",
      kv_heads: "u32",
      heads_a_group: "u32",
      /** Quads of a head's first half; its second half has as many. */
      pairs: "u32",
      /** Threads side by side over pairs: 2^across. */
      across: "u32",
      batch0: "u32",
      scaling: "f32",
    },
    enable: storage === "f16" ? ["f16"] : [],
    code: wgsl`
${rotationCode("vec4<f32>")}
fn stored(v: vec4<f32>) -> ${element} { return ${made}; }
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let row = flat_workgroup(vec3u(wid.xy, 0u), nwg);
  if (row >= u.rows) { return; }
  let item = row / u.length;
  let first = start[u.batch0 + item];
  let at_step = row - item * u.length;
  let cached = first < u.capacity && at_step < u.capacity - first;
  let cache_row = (item * u.capacity + first + at_step) * u.kv_heads;
  let end = min((wid.z + 1u) * u.heads_a_group, u.heads);
  for (var j = li & ((1u << u.across) - 1u); j < u.pairs; j += 1u << u.across) {
    let t = turn(f32(first + at_step) * inv_freq[j]);
    let c = u.scaling * t.cos;
    let s = u.scaling * t.sin;
    // a position's heads: queries, then keys, then values
    let row_heads = row * (u.heads + 2u * u.kv_heads);
    for (var h = wid.z * u.heads_a_group + (li >> u.across); h < end; h += ${threads}u >> u.across) {
      let query = (row_heads + h) * 2u * u.pairs + j;
      let a = qkv[query];
      let b = qkv[query + u.pairs];
      let at = (row * u.heads + h) * 2u * u.pairs + j;
      y[at] = a * c - b * s;
      y[at + u.pairs] = b * c + a * s;
      if (cached && h < u.kv_heads) {
        let key = (row_heads + u.heads + h) * 2u * u.pairs + j;
        let value = key + u.kv_heads * 2u * u.pairs;
        let place = (cache_row + h) * 2u * u.pairs + j;
        let ka = qkv[key];
        let kb = qkv[key + u.pairs];
        k_cache[place] = stored(ka * c - kb * s);
        k_cache[place + u.pairs] = stored(kb * c + ka * s);
        v_cache[place] = stored(qkv[value]);
        v_cache[place + u.pairs] = stored(qkv[value + u.pairs]);
      }
    }
  }
}`,
  });
}

/**
 * Threads of a workgroup, and heads that it takes. Devices with small subgroups run threads one subgroup after another, so
 * one takes all heads, whose angles are then found once; others spread heads over workgroups for the sake of decoding.
 */
function partition(pairs: number, heads: number, { subgroupSize }: Capabilities) {
  const small = subgroupSize === 4 || subgroupSize === 8;
  const threads = small ? subgroupSize : 64;
  const across = Math.min(Math.log2(threads), Math.floor(Math.log2(pairs)));
  return { threads, across, headsAGroup: small ? heads : Math.min(heads, threads >> across) };
}

function quadsVariant(storage: FloatStorage): Variant<RopeAppendInputs, RopeParams> {
  return {
    name: `quads-${storage}`,
    supports(inputs, params, caps) {
      const { size, rotary, heads, kvHeads } = appendShape(inputs, params);
      const fits = size % 8 === 0 && rotary === size && kvHeads <= heads;
      return fits && floatStorages(inputs.kCache.dtype, caps).includes(storage);
    },
    build({ inputs, outputs, params, caps }) {
      const { qkv, invFreq, start, kCache, vCache } = inputs;
      const y = outputs[0] as Tensor;
      const { batch, length, heads, kvHeads, size, capacity } = appendShape(inputs, params);
      const pairs = size / 8;
      const { threads, across, headsAGroup } = partition(pairs, heads, caps);
      const compiled = quadsKernel(storage, threads);
      const rows = (tensor: Tensor) => ({ tensor, width: sizeOf(tensor.shape.slice(1)) });
      return rowWindows(batch, [qkv, kCache, vCache, y].map(rows), caps).map((window) => {
        const part = (tensor: Tensor) => rowsOf(rows(tensor), window);
        const tensors = {
          ...{ qkv: part(qkv), k_cache: part(kCache), v_cache: part(vCache), y: part(y) },
          ...{ inv_freq: invFreq, start },
        };
        const uniforms = {
          rows: window.count * length,
          length,
          capacity,
          heads,
          kv_heads: kvHeads,
          heads_a_group: headsAGroup,
          pairs,
          across,
          batch0: window.start,
          scaling: params.attentionScaling,
        };
        const [columns, lines] = grid(window.count * length);
        return dispatch(compiled, tensors, uniforms, [columns, lines, Math.ceil(heads / headsAGroup)]);
      });
    },
  };
}

/** For heads that are turned whole and are a multiple of 8 long. */
export const quadsVariants = (["f32", "f16", "packed"] as const).map(quadsVariant);
