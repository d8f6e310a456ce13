import type { Capabilities } from "../../capabilities.ts";
import { wgsl } from "../../wgsl.ts";
import { unroll } from "./unroll.ts";

/** `side` x `side` threads, each with `rowsPerThread` x 4 outputs. */
export interface Tile {
  readonly side: number;
  readonly rowsPerThread: number;
}

/** Two of each take at most the 16 KiB of workgroup memory that every device has. */
export const tiles = {
  large: { side: 16, rowsPerThread: 8 },
  medium: { side: 16, rowsPerThread: 4 },
  small: { side: 8, rowsPerThread: 4 },
} as const satisfies Record<string, Tile>;

const outputRows = ({ side, rowsPerThread }: Tile): number => side * rowsPerThread;
const outputColumns = ({ side }: Tile): number => side * 4;
/** A tile's depth along K in vec4s, 2 or 4: every thread loads one of A, and one of B or none. */
const depth = ({ side, rowsPerThread }: Tile): number => side / rowsPerThread;

/** Of a kernel's name: rows and columns of a workgroup's outputs. */
export const tileName = (tile: Tile): string => `${outputRows(tile)}x${outputColumns(tile)}`;

/** Workgroups along columns and rows of the product. */
export function tileGrid(tile: Tile, m: number, n: number): [number, number] {
  return [Math.ceil(n / outputColumns(tile)), Math.ceil(m / outputRows(tile))];
}

/** Whether the device has the threads and the workgroup memory. */
export function fitsTile(tile: Tile, { limits }: Capabilities): boolean {
  const bytes = 2 * 16 * depth(tile) * (outputRows(tile) + outputColumns(tile));
  return (
    tile.side ** 2 <= limits.maxComputeInvocationsPerWorkgroup &&
    bytes <= limits.maxComputeWorkgroupStorageSize
  );
}

export interface TileOperands {
  /**
   * `quad_of_a(z: u32, row: u32, quad: u32) -> vec4<f32>`, elements 4 quad to 4 quad + 3 of a row of matrix z of A, and
   * `quad_of_b(z: u32, column: u32, quad: u32) -> vec4<f32>`, those of a column of B; zero past K within the last quad. And
   * the epilogue.
   */
  readonly code: string;
  /** WGSL: quads along K. */
  readonly quads: string;
  /** Whether a row of B in memory lies along K, or along columns: neighbouring threads read neighbours. */
  readonly bAlongK: boolean;
}

/**
 * A workgroup computes a tile through workgroup memory, where rows of A and columns of B both lie along K in vec4s. There
 * are two tiles of each: while one is multiplied the next is loaded into registers, and stored when that is done, so that
 * multiplying hides the loads and a step takes one barrier.
 *
 * A thread's rows and columns are `side` apart, so that neighbouring threads read neighbouring vec4s and store neighbouring
 * elements. For each vec4 along K those of all rows stand side by side, in an order that depends on it: so the 8 vec4s that
 * 32 banks move at once are of different banks both when they are read (of 8 rows) and when they are stored (of fewer rows,
 * and all of a row's).
 *
 * A thread's sums are vec4s of 4 columns, unrolled by row; the epilogue is rolled as in the subgroup kernel.
 */
export function tileFrame(tile: Tile, { code, quads, bAlongK }: TileOperands): string {
  const { side, rowsPerThread } = tile;
  const rows = outputRows(tile);
  const columns = outputColumns(tile);
  const deep = depth(tile);
  const swap = 8 / deep;
  /** The vec4 of B that thread `li` loads. */
  const b = bAlongK
    ? { column: `li / ${deep}u`, quad: `li % ${deep}u` }
    : { column: `li % ${columns}u`, quad: `li / ${columns}u` };
  const loadsB = columns * deep < side * side ? `if (li < ${columns * deep}u) ` : "";
  return wgsl`
var<workgroup> a_tile: array<vec4<f32>, ${2 * deep * rows}>;
var<workgroup> b_tile: array<vec4<f32>, ${2 * deep * columns}>;
${code}
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let row0 = wid.y * ${rows}u;
  let col0 = wid.x * ${columns}u;
  let quads = ${quads};
  let a_row = li / ${deep}u;
  let a_quad = li % ${deep}u;
  let b_column = ${b.column};
  let b_quad = ${b.quad};
${unroll(rowsPerThread, (r) => `  var s${r} = vec4<f32>();`)}
  // the tile that is filled in this step; the other one was in the step before
  var fill = 0u;
  for (var k = 0u; k < quads + ${deep}u; k += ${deep}u) {
    var next_a = vec4<f32>();
    var next_b = vec4<f32>();
    if (k < quads) {
      next_a = quad_of_a(wid.z, min(row0 + a_row, u.m - 1u), k + a_quad);
      ${loadsB}{ next_b = quad_of_b(wid.z, min(col0 + b_column, u.columns - 1u), k + b_quad); }
    }
    let before = max(k, ${deep}u) - ${deep}u;
    // a bound that Mesa does not see through: it would unroll the loop
    for (var quad = before; quad < min(k, quads); quad++) {
      let q = quad - before;
      let plane = (1u - fill) * ${deep}u + q;
      let a_at = plane * ${rows}u + (lid.y ^ (q * ${swap}u));
      let b_at = plane * ${columns}u + (lid.x ^ (q * ${swap}u));
${unroll(4, (c) => `      let b${c} = b_tile[b_at + ${c * side}u];`)}
${unroll(rowsPerThread, (r) => `      { let v = a_tile[a_at + ${r * side}u]; s${r} += vec4<f32>(dot(v, b0), dot(v, b1), dot(v, b2), dot(v, b3)); }`)}
    }
    a_tile[(fill * ${deep}u + a_quad) * ${rows}u + (a_row ^ (a_quad * ${swap}u))] = next_a;
    ${loadsB}{ b_tile[(fill * ${deep}u + b_quad) * ${columns}u + (b_column ^ (b_quad * ${swap}u))] = next_b; }
    workgroupBarrier();
    fill = 1u - fill;
  }
  for (var row = row0 + lid.y; row < min(row0 + ${rows}u, u.m); row += ${side}u) {
    let at = (wid.z * u.m + row) * u.n + u.column0;
    for (var col = col0 + lid.x; col < min(col0 + ${columns}u, u.columns); col += ${side}u) {
      finish(at + col, u.column0 + col, s0.x);
      s0 = s0.yzww;
    }
${unroll(rowsPerThread - 1, (r) => `    s${r} = s${r + 1};`)}
  }
}`;
}
