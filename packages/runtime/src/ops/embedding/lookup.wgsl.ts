import { type Dispatch, dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { reader } from "../../reading.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type EmbeddingInputs, type EmbeddingParams, embeddingShape } from "./spec.ts";

const workgroup = 64;

/**
 * One vec4 (or, where rows are no multiple of 4, one element) a thread. Bits are written, not floats: a float NaN would
 * be the compiler's to optimise away.
 */
function lookupKernel(storage: "f32" | "packed", wide: boolean) {
  const table = reader("table", storage, wide);
  const element = wide ? "vec4<u32>" : "u32";
  return kernel({
    name: `embedding-${storage}-${wide ? "vec4" : "element"}`,
    bindings: { table: table.decl, ids: read("u32"), y: write(element) },
    uniforms: { n: "u32", width: "u32", rows: "u32", row0: "u32", count: "u32" },
    code: wgsl`
${table.code}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.n) { return; }
  let id = ids[i / u.width];
  if (id >= u.rows) {
    y[i] = ${element}(0xffffffffu);
  } else if (id >= u.row0 && id - u.row0 < u.count) {
    y[i] = bitcast<${element}>(${wide ? "load4" : "load"}_table((id - u.row0) * u.width + i % u.width));
  }
}`,
  });
}

function lookupVariant(storage: "f32" | "packed"): Variant<EmbeddingInputs, EmbeddingParams> {
  return {
    name: storage,
    supports: ({ table }) => table.dtype === (storage === "f32" ? "f32" : "f16"),
    build({ inputs: { table, ids }, outputs, caps }): Dispatch[] {
      const { rows, width } = embeddingShape({ table, ids });
      const wide = width % 4 === 0;
      const items = width / (wide ? 4 : 1);
      const compiled = lookupKernel(storage, wide);
      const tableRows = { tensor: table, width };
      const idRows = { tensor: ids, width: 1 };
      const yRows = { tensor: outputs[0] as Tensor, width };
      // each window of the table writes the ids that lie in it; every one of them writes the NaNs
      return rowWindows(sizeOf(ids.shape), [idRows, yRows], caps).flatMap((part) =>
        rowWindows(rows, [tableRows], caps).map((w) =>
          dispatch(
            compiled,
            { table: rowsOf(tableRows, w), ids: rowsOf(idRows, part), y: rowsOf(yRows, part) },
            { n: part.count * items, width: items, rows, row0: w.start, count: w.count },
            grid(part.count * items, workgroup),
          ),
        ),
      );
    },
  };
}

/** Halves are read as packed words on every device: a row is read once, so `shader-f16` would save nothing. */
export const lookupVariants = [lookupVariant("f32"), lookupVariant("packed")];
