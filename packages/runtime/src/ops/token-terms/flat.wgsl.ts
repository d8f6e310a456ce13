import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type TokenTermsInputs, tokenTermsShape } from "./spec.ts";

type NoParams = Record<string, never>;
const workgroup = 64;

function flatKernel(element: "f32" | "vec4<f32>") {
  return kernel({
    name: `token-terms-${element === "f32" ? "scalar" : "vec4"}`,
    bindings: {
      x: read(element),
      added: read(element),
      coefficients: read("f32"),
      shared_row: read(element),
      own: read(element),
      y: write(element),
    },
    uniforms: { items: "u32", rows: "u32", row0: "u32", n: "u32" },
    code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  let local = i / u.items;
  if (local >= u.rows) { return; }
  let c = i - local * u.items;
  let m = (u.row0 + local) / u.n;
  let n = (u.row0 + local) - m * u.n;
  let at = 2u * m * u.n + n;
  y[i] = x[i] + added[m * u.items + c] + coefficients[at] * shared_row[c]
    + coefficients[at + u.n] * own[n * u.items + c];
}`,
  });
}

function flatVariant(wide: boolean): Variant<TokenTermsInputs, NoParams> {
  const compiled = flatKernel(wide ? "vec4<f32>" : "f32");
  return {
    name: wide ? "vec4" : "scalar",
    supports: ({ own }) => !wide || (own.shape[1] as number) % 4 === 0,
    build({ inputs, outputs, caps }) {
      const { m, n, d } = tokenTermsShape(inputs);
      const { x, shared, ...others } = inputs;
      const parts = { x: { tensor: x, width: d }, y: { tensor: outputs[0] as Tensor, width: d } };
      const items = wide ? d / 4 : d;
      return rowWindows(m * n, Object.values(parts), caps).map((w) =>
        dispatch(
          compiled,
          { ...others, shared_row: shared, x: rowsOf(parts.x, w), y: rowsOf(parts.y, w) },
          { items, rows: w.count, row0: w.start, n },
          grid(w.count * items, workgroup),
        ),
      );
    },
  };
}

/** An element or four a thread; windows over rows. */
export const flatVariants = [flatVariant(true), flatVariant(false)];
