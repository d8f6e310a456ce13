import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, floatStorages, reader } from "../../reading.ts";
import { wgsl } from "../../wgsl.ts";
import { type MatmulKernel, matmulDispatches, matmulUniforms, vec4Aligned } from "./dispatches.ts";
import { epilogueBindings, epilogueWgsl } from "./epilogue.wgsl.ts";
import { operand, withinK } from "./operand.wgsl.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { unroll } from "./unroll.ts";

/** `side` x `side` threads, each with `rowsPerThread` x 4 outputs. */
interface Tile {
  readonly side: number;
  readonly rowsPerThread: number;
}

interface Spec {
  readonly storage: FloatStorage;
  readonly transposeB: boolean;
  readonly aligned: boolean;
  readonly tile: Tile;
}

/** K elements a tile, and its pitch in vec4s: one more than it holds, so that 8 threads' vec4s fall on 32 banks. */
const tileK = 16;
const quads = tileK / 4;
const pitch = quads + 1;

const outputRows = ({ side, rowsPerThread }: Tile): number => side * rowsPerThread;
const outputColumns = ({ side }: Tile): number => side * 4;

/**
 * A workgroup computes a tile through workgroup memory, where rows of A and columns of B both lie along K in vec4s. A
 * thread's rows and columns are `side` apart, so that neighbouring threads read neighbouring vec4s and store neighbouring
 * elements. Its sums are vec4s of 4 columns, unrolled by row; the epilogue is rolled as in the subgroup kernel.
 */
function tiledKernel({ storage, transposeB, aligned, tile }: Spec): MatmulKernel {
  const { side, rowsPerThread } = tile;
  const rows = outputRows(tile);
  const columns = outputColumns(tile);
  const threads = side * side;
  const a = operand("a", "f32", aligned);
  const b = transposeB ? operand("b", storage, aligned) : reader("b", storage, false);
  return kernel({
    name: `matmul-tiled-${rows}x${columns}-${storage}${transposeB ? "T" : ""}${aligned ? "" : "-unaligned"}`,
    bindings: { a: a.decl, b: b.decl, ...epilogueBindings },
    uniforms: matmulUniforms,
    enable: b.enable,
    code: wgsl`
var<workgroup> a_tile: array<vec4<f32>, ${rows * pitch}>;
var<workgroup> b_tile: array<vec4<f32>, ${columns * pitch}>;
${a.code}
${b.code}
${withinK(false)}
${epilogueWgsl}
#if ${!transposeB}
fn b_column(at: u32, k: u32) -> f32 { return select(0.0, load_b(at + k * u.n), k < u.k); }
#endif
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let row0 = wid.y * ${rows}u;
  let col0 = wid.x * ${columns}u;
  let a_base = wid.z * u.m * u.k;
  let b_base = wid.z * u.stride_b;
${unroll(rowsPerThread, (r) => `var s${r} = vec4<f32>();`)}
  for (var k0 = 0u; k0 < u.k; k0 += ${tileK}u) {
    for (var i = li; i < ${rows * quads}u; i += ${threads}u) {
      let row = i / ${quads}u;
      let q = i % ${quads}u;
      let k = k0 + q * 4u;
      a_tile[row * ${pitch}u + q] = within_k(a_at(a_base + min(row0 + row, u.m - 1u) * u.k + k), k);
    }
#if ${transposeB}
    for (var i = li; i < ${columns * quads}u; i += ${threads}u) {
      let col = i / ${quads}u;
      let q = i % ${quads}u;
      let k = k0 + q * 4u;
      b_tile[col * ${pitch}u + q] = within_k(b_at(b_base + min(col0 + col, u.columns - 1u) * u.k + k), k);
    }
#else
    for (var i = li; i < ${columns * quads}u; i += ${threads}u) {
      let col = i % ${columns}u;
      let q = i / ${columns}u;
      let k = k0 + q * 4u;
      let at = b_base + u.column0 + col0 + col;
      b_tile[col * ${pitch}u + q] = vec4<f32>(b_column(at, k), b_column(at, k + 1u), b_column(at, k + 2u), b_column(at, k + 3u));
    }
#endif
    workgroupBarrier();
    for (var k = k0; k < min(k0 + ${tileK}u, u.k); k += 4u) {
      let q = (k - k0) / 4u;
${unroll(4, (c) => `      let b${c} = b_tile[(${c * side}u + lid.x) * ${pitch}u + q];`)}
${unroll(rowsPerThread, (r) => `      { let v = a_tile[(${r * side}u + lid.y) * ${pitch}u + q]; s${r} += vec4<f32>(dot(v, b0), dot(v, b1), dot(v, b2), dot(v, b3)); }`)}
    }
    workgroupBarrier();
  }
  for (var row = row0 + lid.y; row < min(row0 + ${rows}u, u.m); row += ${side}u) {
    let at = (wid.z * u.m + row) * u.n + u.column0;
    for (var col = col0 + lid.x; col < min(col0 + ${columns}u, u.columns); col += ${side}u) {
      finish(at + col, u.column0 + col, s0.x);
      s0 = s0.yzww;
    }
${unroll(rowsPerThread - 1, (r) => `s${r} = s${r + 1};`)}
  }
}`,
  });
}

function tiledVariant(
  storage: FloatStorage,
  tile: Tile,
  /** Where a larger tile is not worth it: fewer workgroups than fill a large GPU's ~130 multiprocessors about twice. */
  fewestTiles: number,
): Variant<MatmulInputs, MatmulParams> {
  const threads = tile.side * tile.side;
  const bytes = 16 * pitch * (outputRows(tile) + outputColumns(tile));
  const gridOf = (m: number, n: number, batch: number) =>
    [Math.ceil(n / outputColumns(tile)), Math.ceil(m / outputRows(tile)), batch] as const;
  return {
    name: `tiled-${outputRows(tile)}x${outputColumns(tile)}-${storage}`,
    supports: (inputs, _, caps) =>
      floatStorages(inputs.b.dtype, caps).includes(storage) &&
      threads <= caps.limits.maxComputeInvocationsPerWorkgroup &&
      bytes <= caps.limits.maxComputeWorkgroupStorageSize,
    prefers(inputs, params) {
      const { m, n, batch } = matmulShape(inputs, params);
      const [x, y, z] = gridOf(m, n, batch);
      return x * y * z >= fewestTiles;
    },
    build(context) {
      const { inputs, params } = context;
      // rows along K; a B that is not transposed is read element by element
      const aligned = vec4Aligned(inputs, params).a;
      return matmulDispatches(
        tiledKernel({ storage, transposeB: params.transposeB, aligned, tile }),
        context,
        gridOf,
      );
    },
  };
}

const storages: FloatStorage[] = ["f32", "packed"];

/** Through workgroup memory, on any adapter: the largest tile that still makes enough workgroups. */
export const tiledVariants = storages.flatMap((storage) => [
  tiledVariant(storage, { side: 16, rowsPerThread: 8 }, 256),
  tiledVariant(storage, { side: 16, rowsPerThread: 4 }, 128),
  tiledVariant(storage, { side: 8, rowsPerThread: 4 }, 0),
]);
