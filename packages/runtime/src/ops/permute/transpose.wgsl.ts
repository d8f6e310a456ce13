import type { Capabilities } from "../../capabilities.ts";
import { dispatch, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { bytesPerElement, sizeOf, type Tensor, type TensorSpec } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { type PermuteInputs, type PermuteParams, permutedShape } from "./spec.ts";
import { type CopyAxis, contiguousStrides, mergeCopyAxes } from "./strided-copy.wgsl.ts";

const tile = 32;
const rowsAtOnce = 8;

/** A tile passes through workgroup memory, so that both reads and writes run along rows; a column more avoids conflicts. */
const transposeKernel = kernel({
  name: "permute-transpose",
  bindings: { src: read("u32"), dst: write("u32") },
  uniforms: {
    rows: "u32",
    columns: "u32",
    src_row: "u32",
    dst_row: "u32",
    src_batch: "u32",
    dst_batch: "u32",
  },
  code: wgsl`
var<workgroup> block: array<u32, ${tile * (tile + 1)}>;
@compute @workgroup_size(${tile}, ${rowsAtOnce})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let column = wid.x * ${tile}u + lid.x;
  for (var r = lid.y; r < ${tile}u; r += ${rowsAtOnce}u) {
    let row = wid.y * ${tile}u + r;
    if (row < u.rows && column < u.columns) {
      block[r * ${tile + 1}u + lid.x] = src[wid.z * u.src_batch + row * u.src_row + column];
    }
  }
  workgroupBarrier();
  let to = wid.y * ${tile}u + lid.x;
  for (var r = lid.y; r < ${tile}u; r += ${rowsAtOnce}u) {
    let row = wid.x * ${tile}u + r;
    if (row < u.columns && to < u.rows) {
      dst[wid.z * u.dst_batch + row * u.dst_row + to] = block[lid.x * ${tile + 1}u + r];
    }
  }
}`,
});

/** The loops of a permutation, in the output's order. */
export function permuteAxes(x: TensorSpec, axes: readonly number[]): CopyAxis[] {
  const shape = permutedShape(x, axes);
  const src = contiguousStrides(x.shape);
  const dst = contiguousStrides(shape);
  return shape.map((size, i) => ({ size, src: src[axes[i] as number] as number, dst: dst[i] as number }));
}

/** [batch,] rows, columns -> [batch,] columns, rows; undefined where the permutation is another one. */
function asTranspose(x: TensorSpec, axes: readonly number[]) {
  const merged = mergeCopyAxes(permuteAxes(x, axes));
  const [columns, rows] = merged.slice(-2);
  if (!columns || !rows || merged.length > 3 || columns.src !== 1 || rows.dst !== 1) return undefined;
  return { batch: merged.length === 3 ? merged[0] : undefined, columns, rows };
}

function fits(x: TensorSpec, axes: readonly number[], caps: Capabilities): boolean {
  const { maxComputeWorkgroupsPerDimension: most, maxStorageBufferBindingSize } = caps.limits;
  const t = asTranspose(x, axes);
  if (!t || bytesPerElement(x.dtype) !== 4 || sizeOf(x.shape) * 4 > maxStorageBufferBindingSize) return false;
  // narrower than this, tiles are mostly empty
  const worthwhile = t.columns.size >= 8 && t.rows.size >= 8;
  return worthwhile && Math.max(t.columns.size, t.rows.size) / tile < most && (t.batch?.size ?? 1) <= most;
}

/** Two axes (or runs of axes) change places, within a batch or not. */
export const transposeVariant: Variant<PermuteInputs, PermuteParams> = {
  name: "transpose",
  supports: ({ x }, { axes }, caps) => fits(x, axes, caps),
  build({ inputs: { x }, outputs, params }) {
    const t = asTranspose(x, params.axes);
    if (!t) return [];
    return [
      dispatch(
        transposeKernel,
        { src: x, dst: outputs[0] as Tensor },
        {
          rows: t.rows.size,
          columns: t.columns.size,
          src_row: t.rows.src,
          dst_row: t.columns.dst,
          src_batch: t.batch?.src ?? 0,
          dst_batch: t.batch?.dst ?? 0,
        },
        [Math.ceil(t.columns.size / tile), Math.ceil(t.rows.size / tile), t.batch?.size ?? 1],
      ),
    ];
  },
};
