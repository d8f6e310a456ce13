import { dispatch, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { type WeightedMeanInputs, weightedMeanShape } from "./spec.ts";

type NoParams = Record<string, never>;

/** Threads along F and, of those that share a column, along N: so that one mask still fills a GPU. */
const columns = 16;
const shares = 8;

function columnKernel(element: "f32" | "vec4<f32>", weighted: boolean) {
  return kernel({
    name: `weighted-mean-${element === "f32" ? "scalar" : "vec4"}${weighted ? "" : "-plain"}`,
    bindings: { x: read(element), weight: weighted ? read(element) : undefined, y: write(element) },
    uniforms: { items: "u32", n: "u32", scale: "f32" },
    code: wgsl`
var<workgroup> parts: array<${element}, ${columns * shares}>;
@compute @workgroup_size(${columns}, ${shares})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let c = wid.x * ${columns}u + lid.x;
  var sum = ${element}();
  if (c < u.items) {
    for (var row = lid.y; row < u.n; row += ${shares}u) {
      let v = x[(wid.y * u.n + row) * u.items + c];
#if ${weighted}
      sum += v * weight[row * u.items + c];
#else
      sum += v;
#endif
    }
  }
  parts[li] = sum;
  workgroupBarrier();
  if (lid.y == 0u && c < u.items) {
    for (var i = 1u; i < ${shares}u; i++) { sum += parts[i * ${columns}u + lid.x]; }
    y[wid.y * u.items + c] = sum * u.scale;
  }
}`,
  });
}

function columnVariant(wide: boolean): Variant<WeightedMeanInputs, NoParams> {
  return {
    name: wide ? "vec4" : "scalar",
    supports: ({ x }) => !wide || (x.shape[2] as number) % 4 === 0,
    build({ inputs: { x, weight }, outputs, caps }) {
      const { m, n, f } = weightedMeanShape({ x, weight });
      const parts = { x: { tensor: x, width: n * f }, y: { tensor: outputs[0] as Tensor, width: f } };
      const items = wide ? f / 4 : f;
      const compiled = columnKernel(wide ? "vec4<f32>" : "f32", weight !== undefined);
      return rowWindows(m, Object.values(parts), caps).map((w) =>
        dispatch(
          compiled,
          { x: rowsOf(parts.x, w), weight, y: rowsOf(parts.y, w) },
          { items, n, scale: 1 / n },
          [Math.ceil(items / columns), w.count],
        ),
      );
    },
  };
}

/** Columns side by side, so that neighbouring threads read neighbouring elements. */
export const columnVariants = [columnVariant(true), columnVariant(false)];
