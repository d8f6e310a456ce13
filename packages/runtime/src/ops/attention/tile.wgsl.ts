import type { Capabilities } from "../../capabilities.ts";
import { dispatch, kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import {
  batchWindows,
  type CommonSpec,
  commonBindings,
  commonCode,
  commonEnable,
  commonSpec,
  commonUniforms,
  outputBinding,
  readsKeys,
  storeCode,
} from "./common.wgsl.ts";
import type { KeyStorage } from "./key-reading.ts";
import { type AttentionInputs, type AttentionParams, attentionShape } from "./spec.ts";

/** side x side threads; each scores `rows` x `keys` pairs of a tile, and accumulates `rows` outputs. */
interface Tile {
  readonly side: number;
  readonly rows: number;
  readonly keys: number;
}

function tileBytes({ side, rows, keys }: Tile, quads: number): number {
  const blockRows = side * rows;
  const blockKeys = side * keys;
  return 16 * (blockRows * quads + blockKeys * (quads | 1)) + 4 * (blockRows * blockKeys + 2 * blockRows);
}

function tileKernel(spec: CommonSpec, tile: Tile) {
  const { side, rows, keys } = tile;
  const blockRows = side * rows;
  const blockKeys = side * keys;
  // what is unrolled in the smallest tiles makes drivers compile for seconds
  const unroll = side > 8 ? 4 : 1;
  const threads = side * side;
  const { quads } = spec;
  // an odd stride keeps the threads that read one column of many keys on different banks
  const stride = quads | 1;
  const columns = Math.ceil(quads / side);
  return kernel({
    name: `attention-tile-${blockRows}x${blockKeys}-${spec.storage}`,
    bindings: { ...commonBindings(spec), y: outputBinding(spec) },
    uniforms: commonUniforms,
    enable: commonEnable(spec),
    code: wgsl`
var<workgroup> q_tile: array<vec4<f32>, ${blockRows * quads}>;
var<workgroup> kv_tile: array<vec4<f32>, ${blockKeys * stride}>;
var<workgroup> p_tile: array<f32, ${blockRows * blockKeys}>;
var<workgroup> row_max: array<f32, ${blockRows}>;
var<workgroup> row_decay: array<f32, ${blockRows}>;
${commonCode(spec)}
${storeCode(spec)}
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let b = wid.z;
  let rows = u.tq * u.group;
  let row0 = wid.x * ${blockRows}u;
  let last_row = min(row0 + ${blockRows}u, rows) - 1u;
  for (var i = li; i < ${blockRows}u * u.quads; i += ${threads}u) {
    q_tile[i] = q_quad(q_at(b, wid.y, min(row0 + i / u.quads, last_row)), i % u.quads);
  }
  if (li < ${blockRows}u) { row_max[li] = masked; }
  var out: array<array<vec4<f32>, ${columns}>, ${rows}>;
  var total: array<f32, ${rows}>;
  var limit: array<u32, ${rows}>;
  for (var i = 0u; i < ${rows}u; i++) {
    limit[i] = visible(b, query_of(min(row0 + lid.y * ${rows}u + i, last_row)));
  }
  let end = visible(b, query_of(last_row));
  for (var j0 = 0u; j0 < end; j0 += ${blockKeys}u) {
    workgroupBarrier();
    for (var i = li; i < ${blockKeys}u * u.quads; i += ${threads}u) {
      let j = i / u.quads;
      kv_tile[j * ${stride}u + i % u.quads] = k_quad(k_at(b, wid.y, min(j0 + j, end - 1u)), i % u.quads);
    }
    workgroupBarrier();
    // an explicit value: without one, it is not zeroed again for each round (seen with Dawn on lavapipe)
    var s = array<array<f32, ${keys}>, ${rows}>();
    for (var c = 0u; c < u.quads; c++) {
      var kv: array<vec4<f32>, ${keys}>;
      for (var j = 0u; j < ${keys}u; j++) { kv[j] = kv_tile[(j * ${side}u + lid.x) * ${stride}u + c]; }
      for (var i = 0u; i < ${rows}u; i++) {
        let qv = q_tile[(lid.y * ${rows}u + i) * u.quads + c];
        for (var j = 0u; j < ${keys}u; j++) { s[i][j] += dot(qv, kv[j]); }
      }
    }
    for (var i = 0u; i < ${rows}u; i++) {
      let r = lid.y * ${rows}u + i;
      for (var j = 0u; j < ${keys}u; j++) {
        let key = j0 + j * ${side}u + lid.x;
        if (key < limit[i]) { s[i][j] = score(s[i][j], b, wid.y, min(row0 + r, last_row), key); }
        else { s[i][j] = masked; }
        p_tile[r * ${blockKeys}u + j * ${side}u + lid.x] = s[i][j];
      }
    }
    workgroupBarrier();
    if (li < ${blockRows}u) {
      let before = row_max[li];
      var largest = before;
      for (var j = 0u; j < min(${blockKeys}u, end - j0); j++) { largest = max(largest, p_tile[li * ${blockKeys}u + j]); }
      row_max[li] = largest;
      row_decay[li] = exp(before - largest);
    }
    for (var i = li; i < ${blockKeys}u * u.quads; i += ${threads}u) {
      let j = i / u.quads;
      kv_tile[j * ${stride}u + i % u.quads] = v_quad(k_at(b, wid.y, min(j0 + j, end - 1u)), i % u.quads);
    }
    workgroupBarrier();
    for (var i = 0u; i < ${rows}u; i++) {
      let r = lid.y * ${rows}u + i;
      for (var j = 0u; j < ${keys}u; j++) {
        p_tile[r * ${blockKeys}u + j * ${side}u + lid.x] =
          select(exp(s[i][j] - row_max[r]), 0.0, s[i][j] <= masked);
      }
      total[i] *= row_decay[r];
      for (var n = 0u; n < ${columns}u; n++) { out[i][n] *= row_decay[r]; }
    }
    workgroupBarrier();
    // summed by tiles, as thousands of small steps would all round the same way
    var tile_total = array<f32, ${rows}>();
    for (var first = 0u; first < min(${blockKeys}u, end - j0); first += ${unroll}u) {
      for (var j = first; j < first + ${unroll}u; j++) {
        var p: array<f32, ${rows}>;
        for (var i = 0u; i < ${rows}u; i++) {
          p[i] = p_tile[(lid.y * ${rows}u + i) * ${blockKeys}u + j];
          tile_total[i] += p[i];
        }
        for (var n = 0u; n < ${columns}u; n++) {
          let vv = kv_tile[j * ${stride}u + min(n * ${side}u + lid.x, ${quads - 1}u)];
          for (var i = 0u; i < ${rows}u; i++) { out[i][n] += p[i] * vv; }
        }
      }
    }
    for (var i = 0u; i < ${rows}u; i++) { total[i] += tile_total[i]; }
  }
  for (var i = 0u; i < ${rows}u; i++) {
    let row = row0 + lid.y * ${rows}u + i;
    for (var n = 0u; n < ${columns}u; n++) {
      let c = n * ${side}u + lid.x;
      if (row < rows && c < u.quads) {
        store_quad(q_at(b, wid.y, row), c, select(out[i][n] / total[i], vec4<f32>(), total[i] == 0.0));
      }
    }
  }
}`,
  });
}

function fits(tile: Tile, inputs: AttentionInputs, { limits }: Capabilities): boolean {
  const quads = Math.ceil((inputs.q.shape.at(-1) as number) / 4);
  return (
    tileBytes(tile, quads) <= limits.maxComputeWorkgroupStorageSize &&
    tile.side ** 2 <= limits.maxComputeInvocationsPerWorkgroup
  );
}

function tileVariant(
  storage: KeyStorage,
  tile: Tile,
  useful: (rows: number, inputs: AttentionInputs, caps: Capabilities) => boolean,
): Variant<AttentionInputs, AttentionParams> {
  const { side, rows, keys } = tile;
  return {
    name: `tile-${side * rows}x${side * keys}-${storage}`,
    supports(inputs, params, caps) {
      const { tq, group } = attentionShape(inputs, params);
      return readsKeys(storage, inputs, caps) && fits(tile, inputs, caps) && useful(tq * group, inputs, caps);
    },
    build({ inputs, outputs, params, caps }) {
      const y = outputs[0] as Tensor;
      const { tq, group, kvHeads } = attentionShape(inputs, params);
      const compiled = tileKernel(commonSpec(storage, inputs, params), tile);
      return batchWindows(inputs, params, [y], caps).map((w) =>
        dispatch(compiled, { ...w.tensors, y: w.windowOf(y) }, w.uniforms, [
          Math.ceil((tq * group) / (side * rows)),
          kvHeads,
          w.batch,
        ]),
      );
    },
  };
}

/**
 * A workgroup for each block of rows of a key-value head: keys, then values, pass through a tile in workgroup memory
 * with an online softmax (Dao et al. 2022, FlashAttention, algorithm 1). The largest tile that fits the device's
 * workgroup memory is preferred. 16x16 serves heads that are too large for 32x32, 8x8 every
 * shape, and 4x4 heads that are too large for that.
 */
export function tileVariants(storage: KeyStorage): Variant<AttentionInputs, AttentionParams>[] {
  const middle = { side: 16, rows: 2, keys: 2 };
  const small = { side: 8, rows: 1, keys: 1 };
  return [
    tileVariant(storage, { side: 16, rows: 4, keys: 2 }, (rows) => rows >= 64),
    tileVariant(storage, middle, (rows) => rows >= 24),
    tileVariant(
      storage,
      { side: 16, rows: 1, keys: 1 },
      (rows, inputs, caps) => rows >= 12 && !fits(middle, inputs, caps),
    ),
    tileVariant(storage, small, () => true),
    tileVariant(storage, { side: 4, rows: 1, keys: 1 }, (_, inputs, caps) => !fits(small, inputs, caps)),
  ];
}
