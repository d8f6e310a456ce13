import { wgsl } from "../../wgsl.ts";
import type { CommonSpec } from "./common.wgsl.ts";

/** Text of a scan over keys begin .. end-1: workgroup variables, and statements that leave results in part_*. */
interface ScanCode {
  readonly memory: string;
  readonly code: string;
}

/** `count` lines of WGSL. */
function lines(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}

/** The running maximum and sum of each row's softmax. */
function rowState(rows: number): string {
  return lines(
    rows,
    (r) => `  var m${r} = masked;
  var total${r} = 0.0;`,
  );
}

/** Keys that a subgroup has in flight at a time. */
const ahead = 2;

/**
 * Each subgroup takes `ahead` keys at a time; a lane has every S-th vec4 of the queries, keys, values and sums, so that
 * a subgroup reads whole heads. A score is a subgroupAdd. No barrier until the end.
 */
export function scanBySubgroup(spec: CommonSpec, lanes: number, rows: number, teams: number): ScanCode {
  const columns = Math.ceil(spec.quads / lanes);
  const over = (count: number, term: (n: number) => string) =>
    Array.from({ length: count }, (_, n) => term(n)).join(" + ");
  const column = (n: number) => `min(${n * lanes}u + lane, u.quads - 1u)`;
  const code = wgsl`
  let lane = li % ${lanes}u;
  let team = li / ${lanes}u;
${rowState(rows)}
${lines(rows, (r) => `  let limit${r} = visible(b, query_of(min(row0 + ${r}u, last_row)));`)}
${lines(rows * columns, (i) => {
  const [r, n] = [Math.floor(i / columns), i % columns];
  // lanes beyond the head hold zeros, so that what they read of the keys adds nothing
  return `  let q${r}_${n} = select(vec4<f32>(), q_quad(q_at(b, wid.y, min(row0 + ${r}u, last_row)), ${column(n)}), ${n * lanes}u + lane < u.quads);
  var o${r}_${n} = vec4<f32>();`;
})}
  for (var j0 = begin; j0 < end; j0 += ${teams * ahead}u) {
${lines(ahead, (a) => `    let key${a} = j0 + ${a * teams}u + team;\n    let row_of${a} = k_at(b, wid.y, min(key${a}, end - 1u));`)}
${lines(ahead * columns, (i) => {
  const [a, n] = [Math.floor(i / columns), i % columns];
  return `    let k${a}_${n} = k_quad(row_of${a}, ${column(n)});\n    let v${a}_${n} = v_quad(row_of${a}, ${column(n)});`;
})}
${lines(ahead * rows, (i) => {
  const [r, a] = [Math.floor(i / ahead), i % ahead];
  const dots = over(columns, (n) => `dot(q${r}_${n}, k${a}_${n})`);
  return `    let sum${r}_${a} = subgroupAdd(${dots});
    var s${r}_${a} = masked;
    if (key${a} < min(end, limit${r})) { s${r}_${a} = score(sum${r}_${a}, b, wid.y, min(row0 + ${r}u, last_row), key${a}); }`;
})}
${lines(rows, (r) => {
  const largest = Array.from({ length: ahead }, (_, a) => `s${r}_${a}`).reduce((x, y) => `max(${x}, ${y})`);
  return `    let next${r} = max(m${r}, ${largest});
    let decay${r} = exp(m${r} - next${r});
    m${r} = next${r};
${lines(ahead, (a) => `    let p${r}_${a} = select(exp(s${r}_${a} - next${r}), 0.0, s${r}_${a} <= masked);`)}
    total${r} = total${r} * decay${r} + ${over(ahead, (a) => `p${r}_${a}`)};
${lines(columns, (n) => `    o${r}_${n} = o${r}_${n} * decay${r} + ${over(ahead, (a) => `p${r}_${a} * v${a}_${n}`)};`)}`;
})}
  }
${lines(rows, (r) => {
  const at = `(team * ${rows}u + ${r}u)`;
  const store = (n: number) =>
    `  if (${n * lanes}u + lane < u.quads) { part_out[${at} * u.quads + ${n * lanes}u + lane] = o${r}_${n}; }`;
  return `  if (lane == 0u) { part_max[${at}] = m${r}; part_total[${at}] = total${r}; }\n${lines(columns, store)}`;
})}`;
  return { memory: "", code };
}

/** Bytes of workgroup memory that `scanByLane` declares. `threads` is a multiple of 4. */
export function scanByLaneBytes(rows: number, quads: number, threads: number): number {
  return 16 * rows * quads + 2 * 4 * rows * threads;
}

/**
 * Without subgroups: a thread scores a key at a time, the scores of `threads` keys meet in workgroup memory, and then a
 * thread sums one vec4 of the values of every `parts`-th key.
 */
export function scanByLane(rows: number, quads: number, threads: number): ScanCode {
  const parts = Math.floor(threads / quads);
  const memory = wgsl`
var<workgroup> queries: array<vec4<f32>, ${rows * quads}>;
var<workgroup> scores: array<f32, ${rows * threads}>;
var<workgroup> weights: array<f32, ${rows * threads}>;
fn weight_of(s: f32, largest: f32) -> f32 { return select(exp(s - largest), 0.0, s <= masked); }`;
  const code = wgsl`
  let c = li % ${quads}u;
  let slice = li / ${quads}u;
  for (var i = li; i < ${rows}u * u.quads; i += ${threads}u) {
    queries[i] = q_quad(q_at(b, wid.y, min(row0 + i / u.quads, last_row)), i % u.quads);
  }
  workgroupBarrier();
${rowState(rows)}
${lines(rows, (r) => `  var o${r} = vec4<f32>();`)}
  for (var j0 = begin; j0 < end; j0 += ${threads}u) {
    let key = j0 + li;
${lines(rows, (r) => `    var s${r} = 0.0;`)}
    if (key < end) {
      let row_of = k_at(b, wid.y, key);
      for (var i = 0u; i < u.quads; i++) {
        let kk = k_quad(row_of, i);
${lines(rows, (r) => `        s${r} += dot(queries[${r}u * u.quads + i], kk);`)}
      }
    }
${lines(rows, (r) => `    scores[${r * threads}u + li] = s${r};`)}
    for (var row = row0; row <= last_row; row++) {
      let at = (row - row0) * ${threads}u + li;
      if (key < min(end, visible(b, query_of(row)))) { scores[at] = score(scores[at], b, wid.y, row, key); }
      else { scores[at] = masked; }
    }
    workgroupBarrier();
    let count = min(${threads}u, end - j0);
${lines(rows, (r) => `    var next${r} = m${r};`)}
    for (var j = 0u; j < count; j++) {
${lines(rows, (r) => `      next${r} = max(next${r}, scores[${r * threads}u + j]);`)}
    }
${lines(
  rows,
  (r) => `    let decay${r} = exp(m${r} - next${r});
    m${r} = next${r};
    total${r} *= decay${r};
    o${r} *= decay${r};
    weights[${r * threads}u + li] = weight_of(scores[${r * threads}u + li], next${r});`,
)}
    workgroupBarrier();
    if (slice < ${parts}u) {
      for (var j = slice; j < count; j += ${parts}u) {
        let vv = v_quad(k_at(b, wid.y, j0 + j), c);
${lines(rows, (r) => `        o${r} += weights[${r * threads}u + j] * vv; total${r} += weights[${r * threads}u + j];`)}
      }
    }
  }
  if (slice < ${parts}u) {
${lines(
  rows,
  (r) => `    part_out[(slice * ${rows}u + ${r}u) * u.quads + c] = o${r};
    if (c == 0u) { part_max[slice * ${rows}u + ${r}u] = m${r}; part_total[slice * ${rows}u + ${r}u] = total${r}; }`,
)}
  }`;
  return { memory, code };
}
