import { DTypeError } from "../../errors.ts";
import { toFloat16Bits } from "../../float16.ts";
import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import {
  bytesPerElement,
  type DType,
  formatSpec,
  sizeOf,
  type Tensor,
  type TensorSpec,
} from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { rowsOf, rowWindows } from "../../windows.ts";
import { contiguousStrides, stridedCopy } from "../permute/strided-copy.wgsl.ts";
import { type PadInputs, type PadParams, paddedShape } from "./spec.ts";

const workgroup = 64;
const maxRank = 6;

interface PadAxis {
  readonly out: number;
  readonly before: number;
  readonly size: number;
}

/** Joins axes that are not padded to the one before them. */
function mergePadAxes(x: TensorSpec, params: PadParams): PadAxis[] {
  const shape = paddedShape(x, params);
  const merged: PadAxis[] = [];
  x.shape.forEach((size, i) => {
    const out = shape[i] as number;
    const last = merged.at(-1);
    if (last && out === size) {
      merged[merged.length - 1] = {
        out: last.out * size,
        before: last.before * size,
        size: last.size * size,
      };
    } else merged.push({ out, before: params.padding[i]?.[0] ?? 0, size });
  });
  return merged.length ? merged : [{ out: 1, before: 0, size: 1 }];
}

function padKernel(wide: boolean) {
  const element = wide ? "vec4<u32>" : "u32";
  const axes = [...Array(maxRank).keys()];
  return kernel({
    name: `pad-${wide ? "vec4" : "word"}`,
    bindings: { x: read(element), y: write(element) },
    uniforms: Object.fromEntries(
      ["n", "value", ...["d", "before", "size"].flatMap((p) => axes.map((i) => `${p}${i}`))].map((k) => [
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
  var source = 0u;
  var stride = 1u;
  var inside = true;
${axes
  .reverse()
  .map(
    (a) => `  {
    let at = rest % u.d${a} - u.before${a}; // wraps to a large number before the start
    rest /= u.d${a};
    inside = inside && at < u.size${a};
    source += at * stride;
    stride *= u.size${a};
  }`,
  )
  .join("\n")}
  if (inside) { y[i] = x[source]; } else { y[i] = ${element}(u.value); }
}`,
  });
}

/** Elements in the widest unit that no edge straddles, or undefined. */
function unitElements(x: TensorSpec, axes: readonly PadAxis[]): number | undefined {
  const perWord = 4 / bytesPerElement(x.dtype);
  const inner = axes.at(-1) as PadAxis;
  return [4 * perWord, perWord].find((u) => [inner.out, inner.before, inner.size].every((n) => n % u === 0));
}

/** The padding's value as a word: twice for f16. */
function valueWord(dtype: DType, value: number): number {
  if (dtype === "f16") return toFloat16Bits(value) * 0x10001;
  return new Uint32Array(
    (dtype === "f32" ? Float32Array.of(value) : Int32Array.of(value)).buffer,
  )[0] as number;
}

/** One pass: a thread finds out whether its output lies inside. */
export const gatherVariant: Variant<PadInputs, PadParams> = {
  name: "gather",
  supports({ x }, params, caps) {
    const axes = mergePadAxes(x, params);
    const bytes = sizeOf(paddedShape(x, params)) * bytesPerElement(x.dtype);
    const fits = bytes <= caps.limits.maxStorageBufferBindingSize;
    return fits && axes.length <= maxRank && unitElements(x, axes) !== undefined;
  },
  build({ inputs: { x }, outputs, params }) {
    const axes = mergePadAxes(x, params);
    const unit = unitElements(x, axes);
    if (unit === undefined) return [];
    const n = sizeOf(axes.map((a) => a.out)) / unit;
    const uniforms: Record<string, number> = { n, value: valueWord(x.dtype, params.value) };
    for (let i = 0; i < maxRank; i++) {
      const axis = axes[axes.length - maxRank + i];
      const per = i === maxRank - 1 ? unit : 1;
      uniforms[`d${i}`] = (axis?.out ?? per) / per;
      uniforms[`before${i}`] = (axis?.before ?? 0) / per;
      uniforms[`size${i}`] = (axis?.size ?? per) / per;
    }
    const wide = unit * bytesPerElement(x.dtype) === 16;
    return n ? [dispatch(padKernel(wide), { x, y: outputs[0] as Tensor }, uniforms, grid(n, workgroup))] : [];
  },
};

const fillKernel = kernel({
  name: "fill",
  bindings: { y: write("vec4<u32>") },
  uniforms: { quads: "u32", value: "u32" },
  code: wgsl`
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
  if (i < u.quads) { y[i] = vec4<u32>(u.value); }
}`,
});

/** Fills, then copies: in windows, so for tensors of any size. */
export const fillVariant: Variant<PadInputs, PadParams> = {
  name: "fill-and-copy",
  supports: () => true,
  build({ inputs: { x }, outputs, params, caps }) {
    const y = outputs[0] as Tensor;
    const src = contiguousStrides(x.shape);
    const dst = contiguousStrides(y.shape);
    const dstStart = dst.reduce((sum, stride, i) => sum + stride * (params.padding[i]?.[0] ?? 0), 0);
    const axes = x.shape.map((size, i) => ({ size, src: src[i] as number, dst: dst[i] as number }));
    if (x.dtype === "f16" && [...(params.padding.at(-1) ?? [])].some((n) => n % 2 !== 0))
      throw new DTypeError(
        `pad: ${formatSpec(x)}: f16 moves in pairs, so its last axis is padded by even counts`,
      );
    const part = { tensor: y, width: 16 / bytesPerElement(y.dtype) };
    const fills = rowWindows(y.storage.bytes / 16, [part], caps).map((w) =>
      dispatch(
        fillKernel,
        { y: rowsOf(part, w) },
        { quads: w.count, value: valueWord(x.dtype, params.value) },
        grid(w.count, workgroup),
      ),
    );
    return [...fills, ...stridedCopy({ src: x, dst: y, srcStart: 0, dstStart, axes }, caps)];
  },
};
