import { type Dispatch, dispatch, grid, kernel, read, type TensorWindow, write } from "../../kernel.ts";
import { type FloatStorage, reader } from "../../reading.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import type { Pair } from "./spec.ts";

const threads = 64;

/**
 * Patches as planes of four: out[z][k/4][p][k%4] is element k = (channel, i, j) of the patch at pixel p, 0 in the
 * padding and beyond the last k. With a 1 x 1 patch it pads an image and interleaves its channels by four.
 */
const patchKernel = kernel({
  name: "conv2d-patches",
  bindings: { x: read("f32"), y: write("vec4<f32>") },
  uniforms: {
    count: "u32",
    k: "u32",
    quads: "u32",
    channels: "u32",
    h: "u32",
    w: "u32",
    kh: "u32",
    kw: "u32",
    strideY: "u32",
    strideX: "u32",
    padY: "u32",
    padX: "u32",
    pixels: "u32",
    ow: "u32",
  },
  code: wgsl`
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let p = at % u.pixels;
  let quad = (at / u.pixels) % u.quads;
  let z = at / (u.pixels * u.quads);
  let y0 = i32((p / u.ow) * u.strideY) - i32(u.padY);
  let x0 = i32((p % u.ow) * u.strideX) - i32(u.padX);
  let taps = u.kh * u.kw;
  var v: vec4<f32>;
  for (var i = 0u; i < 4u; i++) {
    let k = quad * 4u + i;
    let tap = k % taps;
    let iy = y0 + i32(tap / u.kw);
    let ix = x0 + i32(tap % u.kw);
    if (k < u.k && iy >= 0 && ix >= 0 && u32(iy) < u.h && u32(ix) < u.w) {
      v[i] = x[((z * u.channels + k / taps) * u.h + u32(iy)) * u.w + u32(ix)];
    }
  }
  y[at] = v;
}`,
});

/** Images, or groups of an image's channels, and the patches to cut out of them. */
export interface Patches {
  /** How many stacks of `channels` planes of h x w there are: images times groups. */
  readonly stacks: number;
  readonly channels: number;
  readonly h: number;
  readonly w: number;
  /** The patch, [kh, kw]. */
  readonly size: Pair;
  readonly stride: Pair;
  readonly padding: Pair;
  /** Pixels, [rows, columns]. */
  readonly out: Pair;
}

/** Quads of planes that the patches of one stack fill. */
function patchQuads({ channels, size }: Patches): number {
  return Math.ceil((channels * size[0] * size[1]) / 4);
}

/** Bytes of one image's packed patches. */
export function patchBytes(patches: Patches | undefined): number {
  return patches ? patches.stacks * patchQuads(patches) * patches.out[0] * patches.out[1] * 16 : 0;
}

export function packPatches(x: Tensor | TensorWindow, y: Tensor, patches: Patches): Dispatch {
  const { stacks, channels, h, w, size, stride, padding, out } = patches;
  const quads = patchQuads(patches);
  const pixels = out[0] * out[1];
  const count = stacks * quads * pixels;
  return dispatch(
    patchKernel,
    { x, y },
    {
      count,
      k: channels * size[0] * size[1],
      quads,
      channels,
      h,
      w,
      kh: size[0],
      kw: size[1],
      strideY: stride[0],
      strideX: stride[1],
      padY: padding[0],
      padX: padding[1],
      pixels,
      ow: out[1],
    },
    grid(count, threads),
  );
}

/** Weights as rows of quads: out[row][tap][channel/4][channel%4], 0 beyond the last channel. */
function weightKernel(storage: FloatStorage) {
  const weight = reader("weight", storage, false);
  return kernel({
    name: `conv2d-weights-${storage}`,
    bindings: { weight: weight.decl, y: write("vec4<f32>") },
    uniforms: {
      count: "u32",
      rows: "u32",
      taps: "u32",
      quads: "u32",
      channels: "u32",
      strideGroup: "u32",
      strideRow: "u32",
      strideTap: "u32",
      strideChannel: "u32",
    },
    enable: weight.enable,
    code: wgsl`
${weight.code}
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let quad = at % u.quads;
  let tap = (at / u.quads) % u.taps;
  let row = at / (u.quads * u.taps);
  let base = (row / u.rows) * u.strideGroup + (row % u.rows) * u.strideRow + tap * u.strideTap;
  var v: vec4<f32>;
  for (var i = 0u; i < 4u; i++) {
    let c = quad * 4u + i;
    if (c < u.channels) { v[i] = load_weight(base + c * u.strideChannel); }
  }
  y[at] = v;
}`,
  });
}

/** Where element (group, row, tap, channel) of a weight lies. Rows and channels are counted within a group. */
export interface WeightLayout {
  readonly groups: number;
  readonly rows: number;
  readonly taps: number;
  readonly channels: number;
  readonly strideGroup: number;
  readonly strideRow: number;
  readonly strideTap: number;
  readonly strideChannel: number;
}

/** Shape of the packed weights. */
export function packedWeightShape({ groups, rows, taps, channels }: WeightLayout): number[] {
  return [groups * rows, taps, Math.ceil(channels / 4), 4];
}

export function packWeights(
  weight: Tensor,
  y: Tensor,
  storage: FloatStorage,
  layout: WeightLayout,
): Dispatch {
  const { groups, ...rest } = layout;
  const quads = Math.ceil(layout.channels / 4);
  const count = groups * layout.rows * layout.taps * quads;
  return dispatch(weightKernel(storage), { weight, y }, { ...rest, count, quads }, grid(count, threads));
}
