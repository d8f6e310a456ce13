import { type Dispatch, dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { isQuantized, type QuantizedDType, quantGroup, quantizedLayout } from "../../quantized.ts";
import { quadReader } from "../../quantized-reading.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { quantizedWindows, rowsOf, rowWindows } from "../../windows.ts";
import { type EmbeddingInputs, type EmbeddingParams, embeddingShape } from "./spec.ts";

const workgroup = 64;
const quads = quantGroup / 4;

/** Four elements a thread. Bits are written, not floats, as in lookup.wgsl.ts. */
function lookupKernel(dtype: QuantizedDType) {
  return kernel({
    name: `embedding-${dtype}`,
    bindings: { quants: read("u32"), scales: read("u32"), ids: read("u32"), y: write("u32") },
    uniforms: { n: "u32", width: "u32", groups: "u32", rows: "u32", row0: "u32", count: "u32" },
    code: wgsl`
${quadReader(dtype)}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.n) { return; }
  let row_quads = u.groups * ${quads}u;
  let id = ids[i / row_quads];
  var bits = vec4<u32>(0xffffffffu);
  if (id < u.rows) {
    if (id < u.row0 || id - u.row0 >= u.count) { return; }
    let g = (id - u.row0) * u.groups + i % row_quads / ${quads}u;
    bits = bitcast<vec4<u32>>(quad_of(g, i % ${quads}u));
  }
  let k = i % row_quads * 4u;
  let at = i / row_quads * u.width + k;
  if (k < u.width) { y[at] = bits.x; }
  if (k + 1u < u.width) { y[at + 1u] = bits.y; }
  if (k + 2u < u.width) { y[at + 2u] = bits.z; }
  if (k + 3u < u.width) { y[at + 3u] = bits.w; }
}`,
  });
}

export const quantizedVariant: Variant<EmbeddingInputs, EmbeddingParams> = {
  name: "quantized",
  supports: ({ table }) => isQuantized(table.dtype),
  build({ inputs: { table, ids }, outputs, caps }): Dispatch[] {
    const { rows, width } = embeddingShape({ table, ids });
    const dtype = table.dtype as QuantizedDType;
    const { groups } = quantizedLayout(table.shape, dtype);
    const compiled = lookupKernel(dtype);
    const idRows = { tensor: ids, width: 1 };
    const yRows = { tensor: outputs[0] as Tensor, width };
    // as in lookup.wgsl.ts: each window writes the ids that lie in it, and every one of them the NaNs
    return rowWindows(sizeOf(ids.shape), [idRows, yRows], caps).flatMap((part) =>
      quantizedWindows(table, caps).map((w) => {
        const n = part.count * groups * quads;
        return dispatch(
          compiled,
          { quants: w.quants, scales: w.scales, ids: rowsOf(idRows, part), y: rowsOf(yRows, part) },
          { n, width, groups, rows, row0: w.start, count: w.count },
          grid(n, workgroup),
        );
      }),
    );
  },
};
