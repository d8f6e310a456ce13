import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, floatStorages, reader } from "../../reading.ts";
import { wgsl } from "../../wgsl.ts";
import { type MatmulKernel, matmulDispatches, matmulUniforms, vec4Aligned } from "./dispatches.ts";
import { epilogueBindings, epilogueWgsl } from "./epilogue.wgsl.ts";
import { operand, withinK } from "./operand.wgsl.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { fitsTile, type Tile, tileFrame, tileGrid, tileName, tiles } from "./tile-frame.wgsl.ts";

interface Spec {
  readonly aStorage: FloatStorage;
  readonly storage: FloatStorage;
  readonly transposeB: boolean;
  readonly aligned: boolean;
  readonly tile: Tile;
}

/** Weights of floats. A B that is not transposed is read element by element. */
function tiledKernel({ aStorage, storage, transposeB, aligned, tile }: Spec): MatmulKernel {
  const a = operand("a", aStorage, aligned);
  const b = transposeB ? operand("b", storage, aligned) : reader("b", storage, false);
  return kernel({
    name: `matmul-tiled-${tileName(tile)}-${aStorage === "f32" ? "" : `${aStorage}-by-`}${storage}${transposeB ? "T" : ""}${aligned ? "" : "-unaligned"}`,
    bindings: { a: a.decl, b: b.decl, ...epilogueBindings },
    uniforms: matmulUniforms,
    enable: b.enable,
    code: tileFrame(tile, {
      quads: "(u.k + 3u) / 4u",
      bAlongK: transposeB,
      code: wgsl`
${a.code}
${b.code}
${withinK(aligned)}
${epilogueWgsl}
fn quad_of_a(z: u32, row: u32, quad: u32) -> vec4<f32> {
  return within_k(a_at((z * u.m + row) * u.k + 4u * quad), 4u * quad);
}
#if ${transposeB}
fn quad_of_b(z: u32, column: u32, quad: u32) -> vec4<f32> {
  return within_k(b_at(z * u.stride_b + column * u.k + 4u * quad), 4u * quad);
}
#else
fn quad_of_b(z: u32, column: u32, quad: u32) -> vec4<f32> {
  let at = z * u.stride_b + u.column0 + column + 4u * quad * u.n;
  return within_k(vec4<f32>(load_b(at), load_b(at + u.n), load_b(at + 2u * u.n), load_b(at + 3u * u.n)), 4u * quad);
}
#endif`,
    }),
  });
}

function tiledVariant(
  storage: FloatStorage,
  tile: Tile,
  /** Where a larger tile is not worth it: fewer workgroups than fill a large GPU's ~130 multiprocessors about twice. */
  fewestTiles: number,
): Variant<MatmulInputs, MatmulParams> {
  return {
    name: `tiled-${tileName(tile)}-${storage}`,
    supports: (inputs, _, caps) =>
      floatStorages(inputs.b.dtype, caps).includes(storage) && fitsTile(tile, caps),
    prefers(inputs, params) {
      const { m, n, batch } = matmulShape(inputs, params);
      const [x, y] = tileGrid(tile, m, n);
      return x * y * batch >= fewestTiles;
    },
    build(context) {
      const { inputs, params } = context;
      const aligned = vec4Aligned(inputs, params).a;
      const aStorage = inputs.a.dtype === "f16" ? "packed" : "f32";
      const compiled = tiledKernel({ aStorage, storage, transposeB: params.transposeB, aligned, tile });
      return matmulDispatches(compiled, context, (m, n, batch) => [...tileGrid(tile, m, n), batch]);
    },
  };
}

const storages: FloatStorage[] = ["f32", "packed"];

/** Through workgroup memory, on any adapter: the largest tile that still makes enough workgroups. */
export const tiledVariants = storages.flatMap((storage) => [
  tiledVariant(storage, tiles.large, 256),
  tiledVariant(storage, tiles.medium, 128),
  tiledVariant(storage, tiles.small, 0),
]);
