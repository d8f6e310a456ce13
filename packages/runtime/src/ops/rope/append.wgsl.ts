import { type Dispatch, dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { FloatStorage } from "../../reading.ts";
import { floatStorages } from "../../reading.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { type RowWindow, rowsOf, rowWindows } from "../../windows.ts";
import { rotatedCode, rotationCode } from "./rotation.wgsl.ts";
import { appendShape, type RopeAppendInputs, type RopeParams } from "./spec.ts";

const workgroup = 64;

function cacheElement(storage: FloatStorage): string {
  return storage === "packed" ? "u32" : storage;
}

/**
 * Threads 0 .. q_count-1 rotate a query element each; the rest write a unit of the caches each: an element, or a whole
 * word of two halves where f16 is packed. A word at the edge of the new rows keeps the half that is not theirs.
 */
function appendKernel(storage: FloatStorage) {
  const packed = storage === "packed";
  return kernel({
    name: `rope-append-${storage}`,
    bindings: {
      qkv: read("f32"),
      inv_freq: read("f32"),
      start: read("u32"),
      k_cache: write(cacheElement(storage)),
      v_cache: write(cacheElement(storage)),
      y: write("f32"),
    },
    uniforms: {
      q_count: "u32",
      /** Units of one batch item's new rows. */
      units: "u32",
      unit_count: "u32",
      size: "u32",
      heads: "u32",
      kv_width: "u32",
      /** Of a position of qkv. */
      width: "u32",
      length: "u32",
      capacity: "u32",
      rotary: "u32",
      batch0: "u32",
      /** First batch item of this dispatch, within the window. */
      item0: "u32",
      scaling: "f32",
    },
    enable: storage === "f16" ? ["f16"] : [],
    code: wgsl`
${rotationCode("f32")}
${rotatedCode("qkv")}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i < u.q_count) {
    let d = i % u.size;
    let q_width = u.size * u.heads;
    let row = i / q_width;
    y[i] = rotated_qkv(row * u.width + i % q_width - d, d, start[u.batch0 + row / u.length] + row % u.length);
    return;
  }
  let unit = i - u.q_count;
  if (unit >= u.unit_count) { return; }
  let b = u.item0 + unit / u.units;
  let position0 = start[u.batch0 + b];
  if (position0 >= u.capacity) { return; }
  let rows = min(u.length, u.capacity - position0);
  let first = (b * u.capacity + position0) * u.kv_width;
  let source = b * u.length * u.width + u.size * u.heads;
#if ${packed}
  let word = first / 2u + unit % u.units;
  // -1 where the word's low half belongs to the row before
  let offset = i32(word * 2u) - i32(first);
  let end = i32(rows * u.kv_width);
  if (offset >= end) { return; }
  var kk = vec2<f32>();
  var vv = vec2<f32>();
  let whole = offset >= 0 && offset + 1 < end;
  if (!whole) {
    kk = unpack2x16float(k_cache[word]);
    vv = unpack2x16float(v_cache[word]);
  }
  for (var e = 0; e < 2; e++) {
    let n = offset + e;
    if (n >= 0 && n < end) {
      let row = u32(n) / u.kv_width;
      let at = source + row * u.width + u32(n) % u.kv_width;
      let d = u32(n) % u.size;
      kk[e] = rotated_qkv(at - d, d, position0 + row);
      vv[e] = qkv[at + u.kv_width];
    }
  }
  k_cache[word] = pack2x16float(kk);
  v_cache[word] = pack2x16float(vv);
#else
  let n = unit % u.units;
  if (n >= rows * u.kv_width) { return; }
  let row = n / u.kv_width;
  let at = source + row * u.width + n % u.kv_width;
  let d = n % u.size;
  k_cache[first + n] = ${cacheElement(storage)}(rotated_qkv(at - d, d, position0 + row));
  v_cache[first + n] = ${cacheElement(storage)}(qkv[at + u.kv_width]);
#endif
}`,
  });
}

function appendVariant(storage: FloatStorage): Variant<RopeAppendInputs, RopeParams> {
  return {
    name: storage,
    supports: (inputs, _, caps) => floatStorages(inputs.kCache.dtype, caps).includes(storage),
    build({ inputs, outputs, params, caps }) {
      const { qkv, invFreq, start, kCache, vCache } = inputs;
      const y = outputs[0] as Tensor;
      const { batch, length, heads, kvHeads, width, size, rotary, capacity } = appendShape(inputs, params);
      const rows = (tensor: Tensor) => ({ tensor, width: sizeOf(tensor.shape.slice(1)) });
      const kvWidth = kvHeads * size;
      const units = storage === "packed" ? Math.floor((length * kvWidth) / 2) + 1 : length * kvWidth;
      // where a word holds the end of one item's cache and the start of the next, no dispatch writes both
      const shared = storage === "packed" && (capacity * kvWidth) % 2 === 1;
      const compiled = appendKernel(storage);
      const emit = (window: RowWindow, item0: number, items: number, queries: number): Dispatch => {
        const part = (tensor: Tensor) => rowsOf(rows(tensor), window);
        return dispatch(
          compiled,
          {
            qkv: part(qkv),
            k_cache: part(kCache),
            v_cache: part(vCache),
            y: part(y),
            inv_freq: invFreq,
            start,
          },
          {
            q_count: queries,
            units,
            unit_count: items * units,
            size,
            heads,
            kv_width: kvWidth,
            width,
            length,
            capacity,
            rotary,
            batch0: window.start,
            item0,
            scaling: params.attentionScaling,
          },
          grid(queries + items * units, workgroup),
        );
      };
      return rowWindows(batch, [qkv, kCache, vCache, y].map(rows), caps).flatMap((window) => {
        const queries = window.count * length * heads * size;
        if (!shared) return [emit(window, 0, window.count, queries)];
        return Array.from({ length: window.count }, (_, item) =>
          emit(window, item, 1, item === 0 ? queries : 0),
        );
      });
    },
  };
}

export const appendVariants: readonly Variant<RopeAppendInputs, RopeParams>[] = (
  ["f32", "f16", "packed"] as const
).map(appendVariant);
