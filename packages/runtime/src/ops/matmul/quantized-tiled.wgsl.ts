import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { quantizedReader } from "../../quantized-reading.ts";
import { wgsl } from "../../wgsl.ts";
import { epilogueWgsl } from "./epilogue.wgsl.ts";
import {
  hasQuantizedWeights,
  type QuantizedKernel,
  quantizedBindings,
  quantizedDispatches,
  quantizedUniforms,
} from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { unroll } from "./unroll.ts";

/** `side` x `side` threads, each with `rowsPerThread` x 4 outputs. */
interface Tile {
  readonly side: number;
  readonly rowsPerThread: number;
}

/** A tile is half a group deep. Its pitch in vec4s: one more than it holds, so that 8 threads' vec4s fall on 32 banks. */
const quads = 4;
const pitch = quads + 1;

const outputRows = ({ side, rowsPerThread }: Tile): number => side * rowsPerThread;
const outputColumns = ({ side }: Tile): number => side * 4;

/**
 * As the tiled kernel of float weights, with the weights of a word (four of int8, eight of int4) unpacked on their way
 * into workgroup memory.
 */
function tiledKernel(dtype: QuantizedDType, tile: Tile): QuantizedKernel {
  const { side, rowsPerThread } = tile;
  const rows = outputRows(tile);
  const columns = outputColumns(tile);
  const threads = side * side;
  const wide = dtype === "q8_0";
  /** Of half a group: of four weights each, or of four and the four that are half a group behind them. */
  const words = wide ? 4 : 2;
  return kernel({
    name: `matmul-tiled-${rows}x${columns}-${dtype}`,
    bindings: quantizedBindings("u32"),
    uniforms: quantizedUniforms,
    code: wgsl`
var<workgroup> a_tile: array<vec4<f32>, ${rows * pitch}>;
var<workgroup> b_tile: array<vec4<f32>, ${columns * pitch}>;
${quantizedReader(dtype)}
${epilogueWgsl}
@compute @workgroup_size(${side}, ${side})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let row0 = wid.y * ${rows}u;
  let col0 = wid.x * ${columns}u;
${unroll(rowsPerThread, (r) => `  var s${r} = vec4<f32>();`)}
  for (var h = 0u; h < 2u * u.groups; h++) {
    for (var i = li; i < ${rows * quads}u; i += ${threads}u) {
      let row = i / ${quads}u;
      let q = i % ${quads}u;
#if ${wide}
      let at = 4u * h + q;
#else
      let at = 8u * (h / 2u) + 2u * (h % 2u) + (q & 1u) + 4u * (q / 2u);
#endif
      a_tile[row * ${pitch}u + q] = a[min(row0 + row, u.m - 1u) * u.groups * 8u + at];
    }
    for (var i = li; i < ${columns * words}u; i += ${threads}u) {
      let col = i / ${words}u;
      let word = i % ${words}u;
      let half = min(col0 + col, u.columns - 1u) * u.groups * 2u + h;
      let w = quants[half * ${words}u + word];
      let s = scale_of(half / 2u);
#if ${wide}
      b_tile[col * ${pitch}u + word] = weights_of(quants_of(w), s);
#else
      b_tile[col * ${pitch}u + word] = weights_of(low_quants(w), s);
      b_tile[col * ${pitch}u + word + 2u] = weights_of(high_quants(w), s);
#endif
    }
    workgroupBarrier();
    // a bound that Mesa does not see through: it would unroll the loop
    for (var k = ${quads}u * h; k < min(${quads}u * (h + 1u), 8u * u.groups); k++) {
      let q = k - ${quads}u * h;
${unroll(4, (c) => `      let b${c} = b_tile[(${c * side}u + lid.x) * ${pitch}u + q];`)}
${unroll(rowsPerThread, (r) => `      { let v = a_tile[(${r * side}u + lid.y) * ${pitch}u + q]; s${r} += vec4<f32>(dot(v, b0), dot(v, b1), dot(v, b2), dot(v, b3)); }`)}
    }
    workgroupBarrier();
  }
  for (var row = row0 + lid.y; row < min(row0 + ${rows}u, u.m); row += ${side}u) {
    let at = row * u.n + u.column0;
    for (var col = col0 + lid.x; col < min(col0 + ${columns}u, u.columns); col += ${side}u) {
      finish(at + col, u.column0 + col, s0.x);
      s0 = s0.yzww;
    }
${unroll(rowsPerThread - 1, (r) => `    s${r} = s${r + 1};`)}
  }
}`,
  });
}

function tiledVariant(
  tile: Tile,
  /** As in tiled.wgsl.ts: fewer workgroups than fill a large GPU are left to a smaller tile. */
  fewestTiles: number,
): Variant<MatmulInputs, MatmulParams> {
  const threads = tile.side * tile.side;
  const bytes = 16 * pitch * (outputRows(tile) + outputColumns(tile));
  const gridOf = (m: number, n: number) =>
    [Math.ceil(n / outputColumns(tile)), Math.ceil(m / outputRows(tile))] as const;
  return {
    name: `quantized-tiled-${outputRows(tile)}x${outputColumns(tile)}`,
    supports: (inputs, _, { limits }) =>
      hasQuantizedWeights(inputs) &&
      threads <= limits.maxComputeInvocationsPerWorkgroup &&
      bytes <= limits.maxComputeWorkgroupStorageSize,
    prefers(inputs, params) {
      const { m, n } = matmulShape(inputs, params);
      const [x, y] = gridOf(m, n);
      return x * y >= fewestTiles;
    },
    build: (context) =>
      quantizedDispatches(tiledKernel(context.inputs.b.dtype as QuantizedDType, tile), context, gridOf),
  };
}

/** Through workgroup memory, on any adapter: the larger tile where it still makes enough workgroups. */
export const quantizedTiledVariants = [
  tiledVariant({ side: 16, rowsPerThread: 8 }, 128),
  tiledVariant({ side: 8, rowsPerThread: 4 }, 0),
];
