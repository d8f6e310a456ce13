import type { Capabilities } from "../../capabilities.ts";
import { DTypeError, KernelError } from "../../errors.ts";
import { type Dispatch, dispatch, grid, kernel, read, type TensorWindow, write } from "../../kernel.ts";
import { bytesPerElement, type DType, formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";

/** One loop of a copy: its count and how far each step moves in the source and the destination. */
export interface CopyAxis {
  readonly size: number;
  readonly src: number;
  readonly dst: number;
}

/** dst[dstStart + Σ i·dst] = src[srcStart + Σ i·src] over all axes, outermost first. In elements; bytes move unchanged. */
export interface StridedCopy {
  readonly src: Tensor;
  readonly dst: Tensor;
  readonly srcStart: number;
  readonly dstStart: number;
  readonly axes: readonly CopyAxis[];
}

const workgroup = 64;
const maxRank = 6;

/** What a thread moves: a vec4 of words, a word, or (in pairs, to whole destination words) halves. */
type Unit = "vec4<u32>" | "u32" | "half";

function copyKernel(unit: Unit, rank: number) {
  const axes = [...Array(rank).keys()];
  const half = unit === "half";
  const element = half ? "u32" : unit;
  return kernel({
    name: `strided-copy-${unit === "vec4<u32>" ? "vec4" : unit}-${rank}`,
    bindings: { src: read(element), dst: write(element) },
    uniforms: Object.fromEntries(
      ["n", "src0", "dst0", ...["d", "s", "t"].flatMap((p) => axes.map((i) => `${p}${i}`))].map((k) => [
        k,
        "u32" as const,
      ]),
    ),
    code: wgsl`
struct Place { src: u32, dst: u32 }
fn place(i: u32) -> Place {
  var rest = i;
  var p = Place(u.src0, u.dst0);
${axes
  .slice(1)
  .reverse()
  .map((a) => `  { let at = rest % u.d${a}; rest /= u.d${a}; p.src += at * u.s${a}; p.dst += at * u.t${a}; }`)
  .join("\n")}
  return Place(p.src + rest * u.s0, p.dst + rest * u.t0);
}
@compute @workgroup_size(${workgroup})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let i = flat_invocation(gid, nwg, ${workgroup}u);
#if ${half}
  if (2u * i >= u.n) { return; }
  var word = 0u;
  for (var h = 0u; h < 2u && 2u * i + h < u.n; h++) {
    let at = place(2u * i + h).src;
    word |= ((src[at >> 1u] >> (16u * (at & 1u))) & 0xffffu) << (16u * h);
  }
  dst[i] = word;
#else
  if (i >= u.n) { return; }
  let p = place(i);
  dst[p.dst] = src[p.src];
#endif
}`,
  });
}

/** Leaves out axes of one step and joins axes that advance as one in source and destination. */
export function mergeCopyAxes(axes: readonly CopyAxis[]): CopyAxis[] {
  const merged: CopyAxis[] = [];
  for (const axis of axes) {
    if (axis.size === 1) continue;
    const last = merged.at(-1);
    if (last && last.src === axis.src * axis.size && last.dst === axis.dst * axis.size) {
      merged[merged.length - 1] = { ...axis, size: last.size * axis.size };
    } else merged.push(axis);
  }
  return merged.length ? merged : [{ size: 1, src: 1, dst: 1 }];
}

/** `copy` with everything counted in units of `elements`, or undefined where units would straddle. */
function inUnits(
  copy: StridedCopy,
  elements: number,
): { axes: CopyAxis[]; src0: number; dst0: number } | undefined {
  const { axes, srcStart, dstStart } = copy;
  const src0 = srcStart / elements;
  const dst0 = dstStart / elements;
  if (elements === 1) return { axes: [...axes], src0, dst0 };
  const inner = axes.at(-1) as CopyAxis;
  const outer = axes
    .slice(0, -1)
    .map((a) => ({ size: a.size, src: a.src / elements, dst: a.dst / elements }));
  const scaled = [...outer, { size: inner.size / elements, src: 1, dst: 1 }];
  const numbers = [src0, dst0, ...scaled.flatMap((a) => [a.size, a.src, a.dst])];
  if (inner.src !== 1 || inner.dst !== 1 || !numbers.every(Number.isInteger)) return undefined;
  return { axes: scaled, src0, dst0 };
}

function isDense(axes: readonly CopyAxis[]): boolean {
  let stride = 1;
  for (const axis of [...axes].reverse()) {
    if (axis.dst !== stride) return false;
    stride *= axis.size;
  }
  return true;
}

/** Elements of `dtype` in the units a copy can be made in, the widest first; `half` where nothing wider fits f16. */
function units(dtype: DType): { unit: Unit; elements: number }[] {
  const perWord = 4 / bytesPerElement(dtype);
  return [
    { unit: "vec4<u32>", elements: 4 * perWord },
    { unit: "u32", elements: perWord },
  ];
}

/**
 * The dispatches of a copy, four words a thread where runs allow it. f16 moves in whole words: odd runs only into a dense
 * destination. Tensors larger than a binding are walked in windows, for which the loops are split until each part fits.
 */
export function stridedCopy(copy: StridedCopy, caps: Capabilities): Dispatch[] {
  if (copy.axes.some((a) => a.size === 0)) return [];
  const merged = { ...copy, axes: mergeCopyAxes(copy.axes) };
  for (const { unit, elements } of units(copy.src.dtype)) {
    const scaled = inUnits(merged, elements);
    if (!scaled) continue;
    const unitBytes = elements * bytesPerElement(copy.src.dtype);
    return splitToFit(scaled, unitBytes, caps).map((part) => emit(copy, unit, elements, part, caps));
  }
  if (copy.dstStart !== 0 || !isDense(merged.axes)) {
    throw new DTypeError(
      `copy of ${formatSpec(copy.src)} into ${formatSpec(copy.dst)}: f16 moves in pairs, and a run of this copy is odd`,
    );
  }
  const whole = { axes: merged.axes, src0: merged.srcStart, dst0: 0 };
  return [emit(copy, "half", 1, whole, caps)];
}

interface Part {
  readonly axes: readonly CopyAxis[];
  readonly src0: number;
  readonly dst0: number;
}

function span(axes: readonly CopyAxis[], side: "src" | "dst"): number {
  return axes.reduce((sum, a) => sum + (a.size - 1) * a[side], 1);
}

/** Halves the axis that spans most until source and destination of each part fit a binding. */
function splitToFit(part: Part, unitBytes: number, caps: Capabilities): Part[] {
  // room to start a window at an aligned byte
  const { maxStorageBufferBindingSize, minStorageBufferOffsetAlignment } = caps.limits;
  const most = (maxStorageBufferBindingSize - minStorageBufferOffsetAlignment - 16) / unitBytes;
  const { axes } = part;
  const side = span(axes, "src") > span(axes, "dst") ? "src" : "dst";
  if (span(axes, side) <= most) return [part];
  const reach = axes.map((a) => (a.size - 1) * a[side]);
  const at = reach.indexOf(Math.max(...reach));
  const axis = axes[at] as CopyAxis;
  const first = Math.ceil(axis.size / 2);
  const withSize = (size: number) => axes.map((a, i) => (i === at ? { ...a, size } : a));
  return [
    ...splitToFit({ ...part, axes: withSize(first) }, unitBytes, caps),
    ...splitToFit(
      {
        axes: withSize(axis.size - first),
        src0: part.src0 + first * axis.src,
        dst0: part.dst0 + first * axis.dst,
      },
      unitBytes,
      caps,
    ),
  ];
}

/** The window of `tensor` that holds `length` units from unit `start`, and where the first of them lies in it. */
function windowOf(
  tensor: Tensor,
  elements: number,
  start: number,
  length: number,
  caps: Capabilities,
): { bound: Tensor | TensorWindow; first: number } {
  if (tensor.storage.bytes <= caps.limits.maxStorageBufferBindingSize) return { bound: tensor, first: start };
  const unitBytes = elements * bytesPerElement(tensor.dtype);
  const align = caps.limits.minStorageBufferOffsetAlignment / unitBytes;
  const from = Math.floor(start / align) * align;
  return {
    bound: { tensor, start: from * elements, length: (start + length - from) * elements },
    first: start - from,
  };
}

function emit(copy: StridedCopy, unit: Unit, elements: number, part: Part, caps: Capabilities): Dispatch {
  const { axes } = part;
  if (axes.length > maxRank) {
    throw new KernelError(
      `copy of ${formatSpec(copy.src)} into ${formatSpec(copy.dst)} needs more than ${maxRank} axes`,
    );
  }
  const rank = axes.length <= 3 ? 3 : maxRank;
  const src = windowOf(copy.src, elements, part.src0, span(axes, "src"), caps);
  const dst = windowOf(copy.dst, elements, part.dst0, span(axes, "dst"), caps);
  const n = sizeOf(axes.map((a) => a.size));
  const uniforms: Record<string, number> = { n, src0: src.first, dst0: dst.first };
  for (let i = 0; i < rank; i++) {
    const axis = axes[axes.length - rank + i];
    uniforms[`d${i}`] = axis?.size ?? 1;
    uniforms[`s${i}`] = axis?.src ?? 0;
    uniforms[`t${i}`] = axis?.dst ?? 0;
  }
  const threads = unit === "half" ? Math.ceil(n / 2) : n;
  return dispatch(
    copyKernel(unit, rank),
    { src: src.bound, dst: dst.bound },
    uniforms,
    grid(threads, workgroup),
  );
}

/** Element strides of a contiguous shape. */
export function contiguousStrides(shape: readonly number[]): number[] {
  const strides: number[] = new Array(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--)
    strides[i] = (strides[i + 1] as number) * (shape[i + 1] as number);
  return strides;
}
