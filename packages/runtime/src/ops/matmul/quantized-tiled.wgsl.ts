import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { QuantizedDType } from "../../quantized.ts";
import { quadReader } from "../../quantized-reading.ts";
import { epilogueWgsl } from "./epilogue.wgsl.ts";
import {
  hasQuantizedWeights,
  type QuantizedKernel,
  quantizedBindings,
  quantizedDispatches,
  quantizedUniforms,
} from "./quantized-dispatches.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { fitsTile, type Tile, tileFrame, tileGrid, tileName, tiles } from "./tile-frame.wgsl.ts";

/** As the tiled kernel of float weights, with the weights unpacked on their way into registers. */
function tiledKernel(dtype: QuantizedDType, tile: Tile): QuantizedKernel {
  return kernel({
    name: `matmul-tiled-${tileName(tile)}-${dtype}`,
    bindings: quantizedBindings("u32"),
    uniforms: quantizedUniforms,
    code: tileFrame(tile, {
      quads: "8u * u.groups",
      bAlongK: true,
      code: `
${quadReader(dtype)}
${epilogueWgsl}
fn quad_of_a(z: u32, row: u32, quad: u32) -> vec4<f32> { return a[row * u.groups * 8u + quad]; }
fn quad_of_b(z: u32, column: u32, quad: u32) -> vec4<f32> { return quad_of(column * u.groups + quad / 8u, quad % 8u); }`,
    }),
  });
}

function tiledVariant(
  tile: Tile,
  /** As in tiled.wgsl.ts: fewer workgroups than fill a large GPU are left to a smaller tile. */
  fewestTiles: number,
): Variant<MatmulInputs, MatmulParams> {
  return {
    name: `quantized-tiled-${tileName(tile)}`,
    supports: (inputs, _, caps) => hasQuantizedWeights(inputs) && fitsTile(tile, caps),
    prefers(inputs, params) {
      const { m, n } = matmulShape(inputs, params);
      const [x, y] = tileGrid(tile, m, n);
      return x * y >= fewestTiles;
    },
    build: (context) =>
      quantizedDispatches(tiledKernel(context.inputs.b.dtype as QuantizedDType, tile), context, (m, n) =>
        tileGrid(tile, m, n),
      ),
  };
}

/** Through workgroup memory, on any adapter: the larger tile where it still makes enough workgroups. */
export const quantizedTiledVariants = [tiledVariant(tiles.large, 128), tiledVariant(tiles.small, 0)];
