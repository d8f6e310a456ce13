import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type PairwiseProductInputs, pairwiseProductShape } from "./spec.ts";

type NoParams = Record<string, never>;
const workgroup = 64;

function flatKernel(element: "f32" | "vec4<f32>") {
  return kernel({
    name: `pairwise-product-${element === "f32" ? "scalar" : "vec4"}`,
    bindings: { a: read(element), b: read(element), y: write(element) },
    uniforms: { items: "u32", rows: "u32", row0: "u32", n: "u32" },
    code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  let row = i / u.items;
  if (row >= u.rows) { return; }
  let c = i - row * u.items;
  let pair = u.row0 + row;
  y[i] = a[(pair % u.n) * u.items + c] * b[(pair / u.n) * u.items + c];
}`,
  });
}

function flatVariant(wide: boolean): Variant<PairwiseProductInputs, NoParams> {
  const compiled = flatKernel(wide ? "vec4<f32>" : "f32");
  return {
    name: wide ? "vec4" : "scalar",
    supports: ({ a }) => !wide || (a.shape[1] as number) % 4 === 0,
    build({ inputs: { a, b }, outputs, caps }) {
      const { m, n, f } = pairwiseProductShape({ a, b });
      const y = { tensor: outputs[0] as Tensor, width: f };
      const items = wide ? f / 4 : f;
      return rowWindows(m * n, [y], caps).map((w) =>
        dispatch(
          compiled,
          { a, b, y: rowsOf(y, w) },
          { items, rows: w.count, row0: w.start, n },
          grid(w.count * items, workgroup),
        ),
      );
    },
  };
}

/** An element or four a thread; windows over the rows of the product. */
export const flatVariants = [flatVariant(true), flatVariant(false)];
