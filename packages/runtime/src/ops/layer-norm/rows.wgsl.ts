import type { Capabilities } from "../../capabilities.ts";
import { type Dispatch, dispatch, grid, kernel, read, write } from "../../kernel.ts";
import { type FloatStorage, reader } from "../../reading.ts";
import { type ReductionMode, reduction, reductionThreads } from "../../reduction.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";

/** What a row is normalised by: mean and variance, or the root of the mean square. */
export type RowNormKind = "layer" | "rms";

/** A normalisation of contiguous rows, with weight and bias by element of the row or by channel. */
export interface RowNorm {
  readonly kind: RowNormKind;
  readonly x: Tensor;
  readonly y: Tensor;
  readonly rows: number;
  readonly width: number;
  readonly eps: number;
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
  /**
   * Absent: weight[element]. Present: row r holds `channels` channels of `inner` elements each, and its first channel is
   * (r mod groups) · channels.
   */
  readonly grouped?: { readonly groups: number; readonly channels: number; readonly inner: number };
}

interface Spec {
  readonly kind: RowNormKind;
  readonly mode: ReductionMode;
  readonly wide: boolean;
  readonly threads: number;
  readonly weight: FloatStorage;
  readonly bias: FloatStorage | undefined;
  readonly grouped: boolean;
}

function rowNormKernel({ kind, mode, wide, threads, weight, bias, grouped }: Spec) {
  const reduce = reduction(mode, "f32", "add", threads);
  const element = wide ? "vec4<f32>" : "f32";
  // a quad of a grouped row lies within one channel, whose weight is a scalar
  const wideAffine = wide && !grouped;
  const w = reader("weight", weight, wideAffine);
  const b = bias && reader("bias", bias, wideAffine);
  const load = wideAffine ? "load4" : "load";
  return kernel({
    name: `${kind}-norm-rows-${mode}-${wide ? "vec4" : "scalar"}${grouped ? "-grouped" : ""}`,
    bindings: { x: read(element), weight: w.decl, bias: b?.decl, y: write(element) },
    uniforms: {
      rows: "u32",
      row0: "u32",
      items: "u32",
      width: "f32",
      eps: "f32",
      groups: "u32",
      channels: "u32",
      inner: "u32",
    },
    enable: reduce.enable,
    code: wgsl`
${reduce.code}
${w.code}
${b?.code ?? ""}
fn total(v: ${element}) -> f32 {
#if ${wide}
  return dot(v, vec4<f32>(1.0));
#else
  return v;
#endif
}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u, ${reduce.parameters}) {
  let row = flat_workgroup(wid, nwg);
  if (row >= u.rows) { return; }
  let base = row * u.items;
  var mean = 0.0;
  var scale = 0.0;
  // pass 0: mean; pass 1: mean square of what is left: one load and one reduction in the code
  for (var pass_ = ${kind === "layer" ? 0 : 1}u; pass_ < 2u; pass_++) {
    var sum = ${element}();
    for (var i = li; i < u.items; i += ${threads}u) {
      let d = x[base + i] - mean;
      if (pass_ == 0u) { sum += d; } else { sum += d * d; }
    }
    let average = reduce(total(sum), ${reduce.thread}) / u.width;
    if (pass_ == 0u) { mean = average; } else { scale = inverseSqrt(average + u.eps); }
  }
  for (var i = li; i < u.items; i += ${threads}u) {
#if ${grouped}
    let c = ((u.row0 + row) % u.groups) * u.channels + i / u.inner;
#else
    let c = i;
#endif
    var v = (x[base + i] - mean) * scale * ${load}_weight(c);
#if ${b !== undefined}
    v += ${load}_bias(c);
#endif
    y[base + i] = v;
  }
}`,
  });
}

/** f16 weights are read as packed pairs: they are small, and one way works on every device. */
export function storageOf(tensor: Tensor): FloatStorage {
  return tensor.dtype === "f16" ? "packed" : "f32";
}

/** The dispatches of a row normalisation: a workgroup a row, in windows of rows where a tensor exceeds a binding. */
export function rowNorm(norm: RowNorm, mode: ReductionMode, wide: boolean, caps: Capabilities): Dispatch[] {
  const { kind, x, y, rows, width, eps, weight, bias, grouped } = norm;
  const k = rowNormKernel({
    kind,
    mode,
    wide,
    threads: reductionThreads(width, caps),
    weight: storageOf(weight),
    bias: bias && storageOf(bias),
    grouped: grouped !== undefined,
  });
  const per = wide ? 4 : 1;
  const parts = { x: { tensor: x, width }, y: { tensor: y, width } };
  return rowWindows(rows, Object.values(parts), caps).map((w) =>
    dispatch(
      k,
      { x: rowsOf(parts.x, w), y: rowsOf(parts.y, w), weight, bias },
      {
        rows: w.count,
        row0: w.start,
        items: width / per,
        width,
        eps,
        groups: grouped?.groups ?? 1,
        channels: grouped?.channels ?? 1,
        inner: (grouped?.inner ?? per) / per,
      },
      grid(w.count),
    ),
  );
}

/** Names and conditions of the four ways to normalise rows. */
export const rowNormWays = (["subgroup", "workgroup"] as const).flatMap((mode) =>
  [true, false].map((wide) => ({
    name: `${mode}-${wide ? "vec4" : "scalar"}`,
    mode,
    wide,
    fits: (multiple: number, caps: Capabilities) =>
      (mode === "workgroup" || caps.subgroups) && (!wide || multiple % 4 === 0),
  })),
);
