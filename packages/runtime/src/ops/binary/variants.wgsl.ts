import { KernelError } from "../../errors.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { formatShape, sizeOf } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import type { BinaryInputs, BinaryKind, BinaryParams } from "./spec.ts";
import { broadcastStrides } from "./spec.ts";

const expression: Record<BinaryKind, string> = {
  add: "a + b",
  sub: "a - b",
  mul: "a * b",
  div: "a / b",
  max: "max(a, b)",
  min: "min(a, b)",
};

const workgroup = 64;

function flatKernel(kind: BinaryKind) {
  return kernel({
    name: `binary-${kind}-flat`,
    bindings: { a_in: read("vec4<f32>"), b_in: read("vec4<f32>"), y: write("vec4<f32>") },
    uniforms: { quads: "u32" },
    code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.quads) { return; }
  let a = a_in[i];
  let b = b_in[i];
  y[i] = ${expression[kind]};
}`,
  });
}

/** Equal shapes: four elements a thread, in windows where the tensors exceed a binding. */
export const flatVariant: Variant<BinaryInputs, BinaryParams> = {
  name: "flat",
  supports: ({ a, b }) => formatShape(a.shape) === formatShape(b.shape),
  build({ inputs: { a, b }, outputs, params, caps }) {
    const [y] = outputs;
    if (!y) return [];
    const quads = Math.ceil(sizeOf(y.shape) / 4);
    const parts = {
      a_in: { tensor: a, width: 4 },
      b_in: { tensor: b, width: 4 },
      y: { tensor: y, width: 4 },
    };
    return rowWindows(quads, Object.values(parts), caps).map((w) =>
      dispatch(
        flatKernel(params.kind),
        { a_in: rowsOf(parts.a_in, w), b_in: rowsOf(parts.b_in, w), y: rowsOf(parts.y, w) },
        { quads: w.count },
        grid(w.count, workgroup),
      ),
    );
  },
};

const maxRank = 6;

function stridedKernel(kind: BinaryKind) {
  return kernel({
    name: `binary-${kind}-strided`,
    bindings: { a_in: read("f32"), b_in: read("f32"), y: write("f32") },
    uniforms: Object.fromEntries(
      ["n", ...["d", "sa", "sb"].flatMap((p) => [...Array(maxRank).keys()].map((i) => p + i))].map((k) => [
        k,
        "u32" as const,
      ]),
    ),
    code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.n) { return; }
  var rest = i;
  var ia = 0u;
  var ib = 0u;
${[...Array(maxRank).keys()]
  .reverse()
  .map((d) => `  { let at = rest % u.d${d}; rest /= u.d${d}; ia += at * u.sa${d}; ib += at * u.sb${d}; }`)
  .join("\n")}
  let a = a_in[ia];
  let b = b_in[ib];
  y[i] = ${expression[kind]};
}`,
  });
}

/** Merges axes along which both inputs advance together, so that most broadcasts need two or three. */
function mergeAxes(shape: readonly number[], sa: readonly number[], sb: readonly number[]) {
  const axes: { size: number; sa: number; sb: number }[] = [];
  shape.forEach((size, i) => {
    if (size === 1) return;
    const next = { size, sa: sa[i] as number, sb: sb[i] as number };
    const last = axes.at(-1);
    if (last && last.sa === next.sa * size && last.sb === next.sb * size) {
      axes[axes.length - 1] = { size: last.size * size, sa: next.sa, sb: next.sb };
    } else axes.push(next);
  });
  return axes;
}

/** Any broadcast. */
export const stridedVariant: Variant<BinaryInputs, BinaryParams> = {
  name: "strided",
  supports: () => true,
  build({ inputs: { a, b }, outputs, params }) {
    const [y] = outputs;
    if (!y) return [];
    const axes = mergeAxes(y.shape, broadcastStrides(a.shape, y.shape), broadcastStrides(b.shape, y.shape));
    if (axes.length > maxRank) {
      throw new KernelError(
        `binary: ${formatShape(a.shape)} with ${formatShape(b.shape)} needs more than ${maxRank} axes`,
      );
    }
    const uniforms: Record<string, number> = { n: sizeOf(y.shape) };
    for (let i = 0; i < maxRank; i++) {
      const axis = axes[axes.length - maxRank + i];
      uniforms[`d${i}`] = axis?.size ?? 1;
      uniforms[`sa${i}`] = axis?.sa ?? 0;
      uniforms[`sb${i}`] = axis?.sb ?? 0;
    }
    return [
      dispatch(
        stridedKernel(params.kind),
        { a_in: a, b_in: b, y },
        uniforms,
        grid(sizeOf(y.shape), workgroup),
      ),
    ];
  },
};
