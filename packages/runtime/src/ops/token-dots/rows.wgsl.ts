import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type TokenDotsInputs, tokenDotsShape } from "./spec.ts";

type NoParams = Record<string, never>;
const threads = 32;

function rowKernel(wide: boolean) {
  const element = wide ? "vec4<f32>" : "f32";
  const times = wide ? (a: string, b: string) => `dot(${a}, ${b})` : (a: string, b: string) => `${a} * ${b}`;
  return kernel({
    name: `token-dots-${wide ? "vec4" : "scalar"}`,
    bindings: { x: read(element), shared_row: read(element), own: read(element), y: write("f32") },
    uniforms: { items: "u32", rows: "u32", row0: "u32", n: "u32" },
    code: wgsl`
var<workgroup> parts: array<vec2<f32>, ${threads}>;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let local = flat_workgroup(wid, nwg);
  if (local >= u.rows) { return; }
  let m = (u.row0 + local) / u.n;
  let n = (u.row0 + local) - m * u.n;
  var sum = vec2<f32>();
  for (var i = li; i < u.items; i += ${threads}u) {
    let v = x[local * u.items + i];
    sum += vec2<f32>(${times("v", "shared_row[i]")}, ${times("v", "own[n * u.items + i]")});
  }
  parts[li] = sum;
  workgroupBarrier();
  if (li == 0u) {
    for (var i = 1u; i < ${threads}u; i++) { sum += parts[i]; }
    y[2u * m * u.n + n] = sum.x;
    y[2u * m * u.n + u.n + n] = sum.y;
  }
}`,
  });
}

function rowVariant(wide: boolean): Variant<TokenDotsInputs, NoParams> {
  const compiled = rowKernel(wide);
  return {
    name: wide ? "vec4" : "scalar",
    supports: ({ own }) => !wide || (own.shape[1] as number) % 4 === 0,
    build({ inputs, outputs, caps }) {
      const { m, n, d } = tokenDotsShape(inputs);
      const x = { tensor: inputs.x, width: d };
      return rowWindows(m * n, [x], caps).map((w) =>
        dispatch(
          compiled,
          { x: rowsOf(x, w), shared_row: inputs.shared, own: inputs.own, y: outputs[0] as Tensor },
          { items: wide ? d / 4 : d, rows: w.count, row0: w.start, n },
          grid(w.count),
        ),
      );
    },
  };
}

/** A workgroup a row. */
export const rowVariants = [rowVariant(true), rowVariant(false)];
