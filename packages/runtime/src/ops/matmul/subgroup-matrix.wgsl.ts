import type { Capabilities, SubgroupMatrixConfig } from "../../capabilities.ts";
import { kernel } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { wgsl } from "../../wgsl.ts";
import { isHalf, type MatmulKernel, matmulDispatches, matmulUniforms, vec4Aligned } from "./dispatches.ts";
import { epilogueBindings, epilogueWgsl } from "./epilogue.wgsl.ts";
import { operand, withinK } from "./operand.wgsl.ts";
import type { MatmulInputs, MatmulParams } from "./spec.ts";
import { unroll } from "./unroll.ts";

/** Four subgroups, two by two, with a quarter of 64 x 64 outputs each. */
const subgroups = 4;
const size = 64;
const half = size / 2;

interface Spec {
  readonly matrix: SubgroupMatrixConfig;
  readonly subgroupSize: number;
  readonly aligned: boolean;
  /** Of a tile along K: 16 or 32. */
  readonly depth: number;
}

/** Of a row of a tile in workgroup memory, in vec4s: two more than it holds, so that rows start at other banks. */
const pitchOf = (depth: number): number => depth / 4 + 2;

function workgroupBytes({ matrix: { M, N }, depth }: Pick<Spec, "matrix" | "depth">): number {
  const tiles = 2 * 2 * size * pitchOf(depth) * 8;
  const blocks = subgroups * M * N * 4;
  return tiles + blocks;
}

const range = (n: number): number[] => [...Array(n).keys()];

/**
 * C = A Bᵀ of halves by the device's matrix units. Tiles of A and B are staged in workgroup memory, where rows of both lie
 * along K (so a tile of B is a right matrix by columns), with zeros past K and with the last row and column again past M
 * and N, so that any shape works. As in the tiled kernels there are two tiles of each: the next is loaded while one is
 * multiplied, and a step takes one barrier. Sums are f32 and stay in matrices; in the end each subgroup puts one of them
 * after another into workgroup memory, from where its lanes finish the elements.
 */
function matrixKernel({ matrix, subgroupSize, aligned, depth }: Spec): MatmulKernel {
  const { M, N, K } = matrix;
  const threads = subgroups * subgroupSize;
  const pitch = pitchOf(depth);
  const quads = depth / 4;
  /** Vec4s of either tile that a thread moves. */
  const moved = (size * quads) / threads;
  const [down, across] = [half / M, half / N];
  const sums = range(down).flatMap((i) => range(across).map((j) => ({ i, j, name: `sum${i * across + j}` })));
  const a = operand("a", "f16", aligned);
  const b = operand("b", "f16", aligned);
  const place = (r: number) => `(li + ${r * threads}u)`;
  const row = (r: number) => `${place(r)} / ${quads}u`;
  const quad = (r: number) => `${place(r)} % ${quads}u`;
  return kernel({
    name: `matmul-subgroup-matrix-${M}x${N}x${K}-${subgroupSize}-${depth}${aligned ? "" : "-unaligned"}`,
    bindings: { a: a.decl, b: b.decl, ...epilogueBindings },
    uniforms: matmulUniforms,
    enable: ["f16", "subgroups", "chromium_experimental_subgroup_matrix"],
    code: wgsl`
var<workgroup> a_tile: array<vec4<f16>, ${2 * size * pitch}>;
var<workgroup> b_tile: array<vec4<f16>, ${2 * size * pitch}>;
var<workgroup> blocks: array<f32, ${subgroups * M * N}>;
${a.code}
${b.code}
${withinK(false)}
${epilogueWgsl}
// the sums that a subgroup has put into its block, at a row and column of this workgroup's windows of Y
fn finish_block(wid: vec3u, block: u32, lane: u32, row: u32, col: u32) {
  for (var i = lane; i < ${M * N}u; i += ${subgroupSize}u) {
    let r = row + i / ${N}u;
    let c = col + i % ${N}u;
    if (r < u.m && c < u.columns) {
      finish((wid.z * u.m + r) * u.n + u.column0 + c, u.column0 + c, blocks[block + i]);
    }
  }
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_index) li: u32,
        @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let row0 = wid.y * ${size}u;
  let col0 = wid.x * ${size}u;
  let a_base = wid.z * u.m * u.k;
  let b_base = wid.z * u.stride_b;
  let down = subgroup / 2u * ${half}u;
  let across = subgroup % 2u * ${half}u;
${sums.map(({ name }) => `  var ${name}: subgroup_matrix_result<f32, ${N}, ${M}>;`).join("\n")}
  // the tile that is filled in this step; the other one was in the step before
  var fill = 0u;
  for (var k0 = 0u; k0 < u.k + ${depth}u; k0 += ${depth}u) {
${unroll(moved, (r) => `    var next_a${r} = vec4<f32>(); var next_b${r} = vec4<f32>();`)}
    if (k0 < u.k) {
${unroll(
  moved,
  (r) => `      {
        let k = k0 + 4u * (${quad(r)});
        next_a${r} = within_k(a_at(a_base + min(row0 + ${row(r)}, u.m - 1u) * u.k + k), k);
        next_b${r} = within_k(b_at(b_base + min(col0 + ${row(r)}, u.columns - 1u) * u.k + k), k);
      }`,
)}
    }
    if (k0 > 0u) {
      let tile = (1u - fill) * ${size * pitch}u;
      for (var k = 0u; k < ${depth}u; k += ${K}u) {
${unroll(down, (i) => `        let left${i} = subgroupMatrixLoad<subgroup_matrix_left<f16, ${K}, ${M}>, row_major>(&a_tile, tile + (down + ${i * M}u) * ${pitch}u + k / 4u, ${pitch}u);`)}
${unroll(across, (j) => `        let right${j} = subgroupMatrixLoad<subgroup_matrix_right<f16, ${N}, ${K}>, col_major>(&b_tile, tile + (across + ${j * N}u) * ${pitch}u + k / 4u, ${pitch}u);`)}
${sums.map(({ i, j, name }) => `        ${name} = subgroupMatrixMultiplyAccumulate(left${i}, right${j}, ${name});`).join("\n")}
      }
    }
${unroll(
  moved,
  (r) => `    {
      let at = fill * ${size * pitch}u + (${row(r)}) * ${pitch}u + ${quad(r)};
      a_tile[at] = vec4<f16>(next_a${r});
      b_tile[at] = vec4<f16>(next_b${r});
    }`,
)}
    workgroupBarrier();
    fill = 1u - fill;
  }
  let block = subgroup * ${M * N}u;
  // rolled, with the sums moved up a place each time: its code is long
  for (var i = 0u; i < ${sums.length}u; i++) {
    subgroupMatrixStore<row_major>(&blocks, block, sum0, ${N}u);
    workgroupBarrier();
    finish_block(wid, block, lane, row0 + down + i / ${across}u * ${M}u, col0 + across + i % ${across}u * ${N}u);
    workgroupBarrier();
${unroll(sums.length - 1, (i) => `    sum${i} = sum${i + 1};`)}
  }
}`,
  });
}

/**
 * The matrices to use: of halves with f32 sums, larger ones first. Those with f16 sums would overflow, and lose digits with
 * K. Undefined where the device has none, or subgroups of a size that is not known beforehand.
 */
function specFor(caps: Capabilities): Omit<Spec, "aligned"> | undefined {
  const { f16, subgroups: has, subgroupSize, limits } = caps;
  const threads = subgroups * subgroupSize;
  if (!f16 || !has || !subgroupSize || threads > limits.maxComputeInvocationsPerWorkgroup) return undefined;
  const fitting = caps.subgroupMatrix.flatMap((matrix) => {
    const { componentType, resultComponentType, M, N, K } = matrix;
    if (componentType !== "f16" || resultComponentType !== "f32" || half % M || half % N) return [];
    const depth = [32, 16].find(
      (d) =>
        d % K === 0 &&
        (size * d) / 4 >= threads &&
        workgroupBytes({ matrix, depth: d }) <= limits.maxComputeWorkgroupStorageSize,
    );
    return depth ? [{ matrix, subgroupSize, depth }] : [];
  });
  const volume = ({ matrix: { M, N, K } }: (typeof fitting)[number]) => M * N * K;
  return fitting.sort((x, y) => volume(y) - volume(x))[0];
}

export const subgroupMatrixVariant: Variant<MatmulInputs, MatmulParams> = {
  name: "subgroup-matrix",
  supports: (inputs, { transposeB }, caps) => isHalf(inputs) && transposeB && specFor(caps) !== undefined,
  build(context) {
    const { inputs, params, caps } = context;
    const spec = specFor(caps) as Omit<Spec, "aligned">;
    const compiled = matrixKernel({ ...spec, aligned: vec4Aligned(inputs, params).a });
    return matmulDispatches(compiled, context, (m, n, batch) => [
      Math.ceil(n / size),
      Math.ceil(m / size),
      batch,
    ]);
  },
};
