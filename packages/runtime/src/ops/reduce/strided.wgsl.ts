import { KernelError } from "../../errors.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { type ReduceElement, reduceElement } from "./element.wgsl.ts";
import { type ReduceInputs, type ReduceParams, reduceRuns } from "./spec.ts";

const workgroup = 64;
/** Kept and reduced runs alternate, so six axes are at most three of each. */
const most = 3;

function stridedKernel({ name, type, code }: ReduceElement) {
  return kernel({
    name: `reduce-${name}-strided`,
    bindings: { x: read("f32"), y: write("f32") },
    uniforms: {
      n: "u32",
      scale: "f32",
      ...(Object.fromEntries(
        ["k", "ks", "r", "rs"].flatMap((p) => [0, 1, 2].map((i) => [p + i, "u32" as const])),
      ) as Record<string, "u32">),
    },
    code: wgsl`
${code}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i >= u.n) { return; }
  let base = (i % u.k2) * u.ks2 + (i / u.k2 % u.k1) * u.ks1 + (i / u.k2 / u.k1) * u.ks0;
  var all = ${type}();
  for (var a = 0u; a < u.r0; a++) {
    for (var b = 0u; b < u.r1; b++) {
      let place = base + a * u.rs0 + b * u.rs1;
      // in blocks, as one long running sum would lose digits
      for (var c0 = 0u; c0 < u.r2; c0 += 64u) {
        var part = ${type}();
        for (var c = c0; c < min(c0 + 64u, u.r2); c++) { part = combine(part, lift(x[place + c * u.rs2])); }
        all = combine(all, part);
      }
    }
  }
  y[i] = lower(all);
}`,
  });
}

/** A thread an output, for any axes: neighbouring threads read neighbouring elements where the innermost axis stays. */
export const stridedVariant: Variant<ReduceInputs, ReduceParams> = {
  name: "strided",
  supports: ({ x }, _, caps) => sizeOf(x.shape) * 4 <= caps.limits.maxStorageBufferBindingSize,
  build({ inputs: { x }, outputs, params }) {
    const y = outputs[0] as Tensor;
    const runs = reduceRuns(x, params);
    const kept = runs.filter((r) => !r.reduced);
    const reduced = runs.filter((r) => r.reduced);
    if (kept.length > most || reduced.length > most) {
      throw new KernelError(
        `${params.kind}: axes ${params.axes} of ${formatSpec(x)} alternate with kept ones more than ${most} times`,
      );
    }
    const count = sizeOf(reduced.map((r) => r.size));
    const uniforms: Record<string, number> = {
      n: sizeOf(y.shape),
      scale: params.kind === "mean" ? 1 / count : 1,
    };
    for (let i = 0; i < most; i++) {
      const k = kept[kept.length - most + i];
      const r = reduced[reduced.length - most + i];
      uniforms[`k${i}`] = k?.size ?? 1;
      uniforms[`ks${i}`] = k?.stride ?? 0;
      uniforms[`r${i}`] = r?.size ?? 1;
      uniforms[`rs${i}`] = r?.stride ?? 0;
    }
    const compiled = stridedKernel(reduceElement[params.kind]);
    return [dispatch(compiled, { x, y }, uniforms, grid(sizeOf(y.shape), workgroup))];
  },
};
