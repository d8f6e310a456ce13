import type { Capabilities } from "../../capabilities.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { BuildContext, Variant } from "../../op.ts";
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
import { scanByLane, scanByLaneBytes, scanBySubgroup } from "./scan.wgsl.ts";
import { type AttentionInputs, type AttentionParams, attentionShape } from "./spec.ts";

type Context = BuildContext<AttentionInputs, AttentionParams>;

/** How a workgroup walks its keys: a key a subgroup, with a reduction for each score, or a key a thread. */
type Scan = "subgroup" | "lane";

/** Subgroups of a workgroup that walks keys by subgroup. */
const teams = 4;
/** Threads of one that walks keys by thread. */
const laneThreads = 128;
const mostRows = 4;

/** Results of a workgroup that are to be merged: of subgroups, or of the threads that sum the same vec4. */
function partsOf(scan: Scan, quads: number): number {
  return scan === "subgroup" ? teams : Math.floor(laneThreads / quads);
}

/** Threads of a workgroup. */
function threadsOf(scan: Scan, lanes: number): number {
  return scan === "subgroup" ? teams * lanes : laneThreads;
}

/** Bytes of workgroup memory for so many rows: `part_*`, and what a scan has besides. */
function workgroupBytes(scan: Scan, rows: number, quads: number): number {
  const results = partsOf(scan, quads) * rows;
  const ofScan = scan === "lane" ? scanByLaneBytes(rows, quads, laneThreads) : 0;
  // arrays of f32 begin at multiples of 16, as those of vec4 do
  return 2 * 16 * Math.ceil(results / 4) + 16 * results * quads + ofScan;
}

interface DecodeSpec extends CommonSpec {
  readonly scan: Scan;
  readonly lanes: number;
  /** Rows of a workgroup. */
  readonly rows: number;
  /** Writes partial results, to be combined, rather than the output. */
  readonly split: boolean;
}

/**
 * A workgroup for `rows` rows of a key-value head and a part of its keys (all, or one of u.splits equal parts of those
 * that are visible). Its teams, which saw different keys, have results of their own, which are merged in workgroup
 * memory: softmax-weighted sums relative to different maxima.
 */
function decodeKernel(spec: DecodeSpec) {
  const { rows, quads, split, scan } = spec;
  const threads = threadsOf(scan, spec.lanes);
  const parts = partsOf(scan, quads);
  const body =
    scan === "subgroup" ? scanBySubgroup(spec, spec.lanes, rows, teams) : scanByLane(rows, quads, threads);
  return kernel({
    name: `attention-decode-${scan}${split ? "-split" : ""}-${rows}-${spec.storage}`,
    bindings: { ...commonBindings(spec), y: split ? write("vec4<f32>") : outputBinding(spec) },
    uniforms: { ...commonUniforms, splits: "u32", parts: "u32" },
    enable: [...(scan === "subgroup" ? ["subgroups"] : []), ...commonEnable(spec)],
    code: wgsl`
var<workgroup> part_max: array<f32, ${parts * rows}>;
var<workgroup> part_total: array<f32, ${parts * rows}>;
var<workgroup> part_out: array<vec4<f32>, ${parts * rows * quads}>;
${body.memory}
${commonCode(spec)}
#if ${!split}
${storeCode(spec)}
#endif
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32) {
  let b = wid.z;
  let part = wid.x % u.splits;
  let row0 = wid.x / u.splits * ${rows}u;
  let last_row = min(row0 + ${rows}u, u.tq * u.group) - 1u;
  let seen = visible(b, query_of(last_row));
  let share = (seen + u.splits - 1u) / u.splits;
  let begin = min(part * share, seen);
  let end = min(begin + share, seen);
${body.code}
  workgroupBarrier();
  for (var i = li; i < (last_row + 1u - row0) * u.quads; i += ${threads}u) {
    let r = i / u.quads;
    let c = i % u.quads;
    var largest = masked;
    for (var t = 0u; t < u.parts; t++) { largest = max(largest, part_max[t * ${rows}u + r]); }
    var total = 0.0;
    var out = vec4<f32>();
    for (var t = 0u; t < u.parts; t++) {
      let weight = exp(part_max[t * ${rows}u + r] - largest);
      total += weight * part_total[t * ${rows}u + r];
      out += weight * part_out[(t * ${rows}u + r) * u.quads + c];
    }
    let at = q_at(b, wid.y, row0 + r);
#if ${split}
    let to = (at * u.splits + part) * (u.quads + 1u);
    y[to + c] = out;
    if (c == 0u) { y[to + u.quads] = vec4<f32>(largest, total, 0.0, 0.0); }
#else
    store_quad(at, c, select(out / total, vec4<f32>(), total == 0.0));
#endif
  }
}`,
  });
}

const combineWorkgroup = 64;

/** Merges the parts of each row: a thread for each vec4 of the output. */
function combineKernel(spec: CommonSpec) {
  return kernel({
    name: "attention-combine",
    bindings: { partial: read("vec4<f32>"), y: outputBinding(spec) },
    uniforms: { count: "u32", quads: "u32", size: "u32", splits: "u32" },
    code: wgsl`
${storeCode(spec)}
@compute @workgroup_size(${combineWorkgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${combineWorkgroup}u);
  if (i >= u.count) { return; }
  let at = i / u.quads;
  let c = i % u.quads;
  let first = at * u.splits * (u.quads + 1u);
  var largest = partial[first + u.quads].x;
  for (var s = 1u; s < u.splits; s++) {
    largest = max(largest, partial[first + s * (u.quads + 1u) + u.quads].x);
  }
  var total = 0.0;
  var out = vec4<f32>();
  for (var s = 0u; s < u.splits; s++) {
    let from_split = first + s * (u.quads + 1u);
    let stats = partial[from_split + u.quads];
    let weight = exp(stats.x - largest);
    total += weight * stats.y;
    out += weight * partial[from_split + c];
  }
  store_quad(at, c, select(out / total, vec4<f32>(), total == 0.0));
}`,
  });
}

/** The workgroup memory that every device has; with more of it, fewer workgroups would run side by side. */
const mostBytes = 16 * 1024;

/** Rows of a workgroup: as few as there are, as many as its memory holds; one, where it does not even hold that. */
function rowsFor(rows: number, quads: number, scan: Scan): number {
  let count = 1;
  while (count < Math.min(rows, mostRows) && workgroupBytes(scan, 2 * count, quads) <= mostBytes) count *= 2;
  return count;
}

/** Keys below which a part is not worth a workgroup and a share of the second dispatch. */
const leastKeys = 512;
/** Workgroups that keep a large GPU busy. */
const busy = 512;

/** Static, as the grid is: from the capacity of the cache, not from what it holds. */
function splitsFor(inputs: AttentionInputs, params: AttentionParams, scan: Scan): number {
  const { batch, tq, group, kvHeads, tk, size } = attentionShape(inputs, params);
  const rows = tq * group;
  const workgroups = batch * kvHeads * Math.ceil(rows / rowsFor(rows, Math.ceil(size / 4), scan));
  return Math.max(1, Math.min(Math.floor(tk / leastKeys), Math.floor(busy / workgroups)));
}

function build(scan: Scan, split: boolean, storage: KeyStorage, context: Context) {
  const { inputs, outputs, params, caps, scratch } = context;
  const y = outputs[0] as Tensor;
  const { batch, tq, heads, group, kvHeads, size } = attentionShape(inputs, params);
  const common = commonSpec(storage, inputs, params);
  const { quads } = common;
  const rows = rowsFor(tq * group, quads, scan);
  const splits = split ? splitsFor(inputs, params, scan) : 1;
  const compiled = decodeKernel({ ...common, scan, lanes: caps.subgroupSize, rows, split });
  const shape = [batch, tq, heads, splits, quads + 1, 4];
  const target = split ? scratch({ shape, dtype: "f32" }) : y;
  return batchWindows(inputs, params, split ? [target, y] : [y], caps).flatMap((w) => {
    const walk = dispatch(
      compiled,
      { ...w.tensors, y: w.windowOf(target) },
      { ...w.uniforms, splits, parts: partsOf(scan, quads) },
      [Math.ceil((tq * group) / rows) * splits, kvHeads, w.batch],
    );
    if (!split) return [walk];
    const count = w.batch * tq * heads * quads;
    const combine = dispatch(
      combineKernel(common),
      { partial: w.windowOf(target), y: w.windowOf(y) },
      { count, quads, size, splits },
      grid(count, combineWorkgroup),
    );
    return [walk, combine];
  });
}

/** Queries of a key-value head beyond which keys are better read once, through a tile. */
const mostQueries = 16;

function decodeVariant(
  scan: Scan,
  split: boolean,
  storage: KeyStorage,
): Variant<AttentionInputs, AttentionParams> {
  const able = ({ subgroups, subgroupSize, limits }: Capabilities, rows: number, quads: number) =>
    (scan === "subgroup" ? subgroups && subgroupSize > 0 : quads <= laneThreads) &&
    threadsOf(scan, subgroupSize) <= limits.maxComputeInvocationsPerWorkgroup &&
    workgroupBytes(scan, rowsFor(rows, quads, scan), quads) <= limits.maxComputeWorkgroupStorageSize;
  return {
    name: `decode-${scan}${split ? "-split" : ""}-${storage}`,
    supports(inputs, params, caps) {
      const { tq, group, size } = attentionShape(inputs, params);
      return (
        tq * group <= mostQueries &&
        able(caps, tq * group, Math.ceil(size / 4)) &&
        readsKeys(storage, inputs, caps) &&
        (!split || splitsFor(inputs, params, scan) > 1)
      );
    },
    build: (context) => build(scan, split, storage, context),
  };
}

/**
 * For few queries, as in decoding. What is to be read is long, and all of it is read once: split among workgroups where
 * there are too few of them otherwise (Dao et al. 2023, Flash-Decoding).
 */
export function decodeVariants(storage: KeyStorage): Variant<AttentionInputs, AttentionParams>[] {
  return (["subgroup", "lane"] as const).flatMap((scan) =>
    [true, false].map((split) => decodeVariant(scan, split, storage)),
  );
}
