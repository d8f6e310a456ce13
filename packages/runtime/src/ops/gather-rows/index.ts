import { DTypeError, ShapeError } from "../../errors.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import type { GatherRowsInputs, GatherRowsParams } from "./spec.ts";

const workgroup = 64;

function gatherKernel(wide: boolean) {
  const element = wide ? "vec4<u32>" : "u32";
  return kernel({
    name: `gather-rows-${wide ? "vec4" : "word"}`,
    bindings: { x: read(element), indices: read("u32"), y: write(element) },
    uniforms: { n: "u32", width: "u32", rows: "u32", row0: "u32", count: "u32" },
    code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.n) { return; }
  let row = indices[i / u.width];
  if (row >= u.rows) { y[i] = ${element}(0xffffffffu); return; }
  if (row >= u.row0 && row - u.row0 < u.count) { y[i] = x[(row - u.row0) * u.width + i % u.width]; }
}`,
  });
}

const variant: Variant<GatherRowsInputs, GatherRowsParams> = {
  name: "flat",
  supports: () => true,
  build({ inputs: { x, indices }, outputs, caps }) {
    const [rows, width] = x.shape as [number, number];
    const wide = width % 4 === 0;
    const part = { tensor: x, width };
    const items = width / (wide ? 4 : 1);
    const n = sizeOf(indices.shape) * items;
    // a window of the table writes the rows that lie in it
    return rowWindows(rows, [part], caps).map((w) =>
      dispatch(
        gatherKernel(wide),
        { x: rowsOf(part, w), indices, y: outputs[0] as Tensor },
        { n, width: items, rows, row0: w.start, count: w.count },
        grid(n, workgroup),
      ),
    );
  },
};

function gatherReference({ x, indices }: { x: HostTensor; indices: HostTensor }): HostTensor[] {
  const [rows, width] = x.shape as [number, number];
  const outside = x.dtype === "f32" ? Number.NaN : x.dtype === "u32" ? 0xffffffff : -1;
  const out = new Float64Array(indices.data.length * width);
  indices.data.forEach((row, k) => {
    for (let i = 0; i < width; i++)
      out[k * width + i] = row < rows ? (x.data[row * width + i] as number) : outside;
  });
  return [hostResult([...indices.shape, width], out, x.dtype)];
}

export const gatherRowsOp: Op<GatherRowsInputs, GatherRowsParams> = {
  name: "gather-rows",
  infer({ x, indices }) {
    if (bytesPerElement(x.dtype) !== 4 || indices.dtype !== "u32")
      throw new DTypeError(
        `gatherRows: ${formatSpec(x)} by ${formatSpec(indices)}: takes f32, i32 or u32 by u32`,
      );
    if (x.shape.length !== 2 || !x.shape.every((d) => d > 0))
      throw new ShapeError(`gatherRows: ${formatSpec(x)} is not a matrix`);
    return [{ shape: [...indices.shape, x.shape[1] as number], dtype: x.dtype }];
  },
  variants: [variant],
  reference: gatherReference,
  cost: (_, [y]) => ({ flops: 0, bytes: 8 * sizeOf(y?.shape ?? []) }),
};

/**
 * Rows of x [R, D] (f32, i32, u32) by indices u32 [..] -> [.., D]. A GPU cannot throw: the row of an index beyond R is
 * all bits set, which is NaN in f32.
 */
export function gatherRows(cmd: Recorder, x: Tensor, indices: Tensor): Tensor {
  return cmd.call1(gatherRowsOp, { x, indices }, {});
}
