import { type Dispatch, dispatch, grid, kernel, read, type TensorWindow, write } from "../../kernel.ts";
import { type FloatStorage, reader } from "../../reading.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { type Epilogue, epilogueBindings, epilogueWgsl } from "./epilogue.ts";

/** Output rows that a subgroup makes. Enough to spread the loads over; more only spill registers. */
const rows = 32;

/** Pixels a lane. */
const columns = 4;

export interface GemmSpec {
  /** The subgroup size, which must be the same for every pipeline. A power of two, at most 32. */
  readonly lanes: number;
  /** How the weights are read. */
  readonly storage: FloatStorage;
  /** x is unpacked planes whose length is a multiple of 4, and so is the channel count; one tap. */
  readonly planar: boolean;
  /** The number of pixels is a multiple of 4, and so is every output plane: stored as whole vec4s. */
  readonly aligned: boolean;
  /** Rows are (channel, i, j) of blocks that are laid side by side: a transposed convolution's output. */
  readonly blocks: boolean;
  readonly epilogue: Epilogue;
}

const names = Array.from({ length: rows }, (_, r) => `s${r}`);

/** Adds weight row r times the four channels of four pixels, for every row; weights are spread over the lanes. */
function accumulate(lanes: number): string {
  return names
    .map((s, r) => {
      const b = `subgroupBroadcast(w${Math.floor(r / lanes)}, ${r % lanes}u)`;
      return `      b = ${b}; ${s} += b.x * c0 + b.y * c1 + b.z * c2 + b.w * c3;`;
    })
    .join("\n");
}

/**
 * y[row, pixel] = sum over taps and channels of weight[row, tap, channel] · x[channel, pixel moved by the tap]. A
 * subgroup makes 32 rows x 4·lanes pixels with no workgroup memory and no barrier: each lane loads its pixels and a
 * share of the weights, and `subgroupBroadcast` spreads those. For software adapters, where a load is a loop over lanes
 * and the broadcast of a known lane is free.
 */
function gemmKernel({ lanes, storage, planar, aligned, blocks, epilogue }: GemmSpec) {
  const wide = aligned && !blocks;
  const weight = reader("weight", storage, true);
  const weightLoads = Array.from({ length: rows / lanes }, (_, i) => {
    const row = `min(row0 + ${i * lanes}u + lane, u.rows - 1u)`;
    return { base: `let r${i} = (w_base + ${row}) * quads;`, load: `let w${i} = load4_weight(r${i} + q);` };
  });
  return kernel({
    name: `conv2d-gemm-${lanes}-${storage}`,
    bindings: {
      x: read("vec4<f32>"),
      weight: weight.decl,
      y: write(wide ? "vec4<f32>" : "f32"),
      ...epilogueBindings(epilogue),
    },
    uniforms: {
      workgroups: "u32",
      rowTiles: "u32",
      pixelTiles: "u32",
      groups: "u32",
      rows: "u32",
      quads: "u32",
      taps: "u32",
      kw: "u32",
      tapRow: "u32",
      tapColumn: "u32",
      plane: "u32",
      pixels: "u32",
      ow: "u32",
      stepRow: "u32",
      stepColumn: "u32",
      blockHeight: "u32",
      blockWidth: "u32",
    },
    enable: [...weight.enable, "subgroups"],
    code: wgsl`
${weight.code}
${epilogueWgsl(epilogue)}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(num_workgroups) nwg: vec3u,
        @builtin(subgroup_invocation_id) lane: u32) {
  let wg = flat_workgroup(wid, nwg);
  if (wg >= u.workgroups) { return; }
  let row0 = (wg % u.rowTiles) * ${rows}u;
  let z = wg / (u.rowTiles * u.pixelTiles);
  let p0 = (((wg / u.rowTiles) % u.pixelTiles) * ${lanes}u + lane) * ${columns}u;
  let w_base = (z % u.groups) * u.rows;
  let quads = u.taps * u.quads;
${weightLoads.map((l) => `  ${l.base}`).join("\n")}
  // out of range rows and pixels repeat the last one and are not stored
  let last = u.pixels - 1u;
#if ${planar}
  let x0 = min(p0, last) / 4u;
#else
  let pa = min(p0, last);
  let pb = min(p0 + 1u, last);
  let pc = min(p0 + 2u, last);
  let pd = min(p0 + 3u, last);
  let xa = (pa / u.ow) * u.stepRow + (pa % u.ow) * u.stepColumn;
  let xb = (pb / u.ow) * u.stepRow + (pb % u.ow) * u.stepColumn;
  let xc = (pc / u.ow) * u.stepRow + (pc % u.ow) * u.stepColumn;
  let xd = (pd / u.ow) * u.stepRow + (pd % u.ow) * u.stepColumn;
#endif
  ${names.map((s) => `var ${s}: vec4<f32>;`).join(" ")}
  var b: vec4<f32>;
  var q = 0u;
  var offset = 0u;
  var column = 0u;
  for (var tap = 0u; tap < u.taps; tap++) {
    for (var c = 0u; c < u.quads; c++) {
#if ${planar}
      let at = (z * u.quads + c) * 4u * u.plane + x0;
      let c0 = x[at];
      let c1 = x[at + u.plane];
      let c2 = x[at + 2u * u.plane];
      let c3 = x[at + 3u * u.plane];
#else
      let at = (z * u.quads + c) * u.plane + offset;
      let va = x[at + xa];
      let vb = x[at + xb];
      let vc = x[at + xc];
      let vd = x[at + xd];
      let c0 = vec4<f32>(va.x, vb.x, vc.x, vd.x);
      let c1 = vec4<f32>(va.y, vb.y, vc.y, vd.y);
      let c2 = vec4<f32>(va.z, vb.z, vc.z, vd.z);
      let c3 = vec4<f32>(va.w, vb.w, vc.w, vd.w);
#endif
${weightLoads.map((l) => `      ${l.load}`).join("\n")}
${accumulate(lanes)}
      q++;
    }
    // counted, not divided: a division is a loop over lanes too
    column++;
    let wrap = column == u.kw;
    offset += select(u.tapColumn, u.tapRow - (u.kw - 1u) * u.tapColumn, wrap);
    column = select(column, 0u, wrap);
  }
  // through memory only now, so that the sums stay in registers up to here and the stores are one loop
  var sums: array<vec4<f32>, ${rows}>;
  ${names.map((s, r) => `sums[${r}] = ${s};`).join(" ")}
  let count = min(${rows}u, u.rows - row0);
#if ${blocks}
  // where the blocks of the four pixels start, and the row's (channel, i, j): counted, as a division is costly
  let area = u.blockHeight * u.blockWidth;
  let pitch = u.ow * u.blockWidth;
  let channels = u.rows / area;
  var channel = row0 / area;
  var i = (row0 % area) / u.blockWidth;
  var j = row0 % u.blockWidth;
  var starts: vec4<u32>;
  for (var e = 0u; e < ${columns}u; e++) {
    let p = p0 + e;
    starts[e] = (p / u.ow) * u.blockHeight * pitch + (p % u.ow) * u.blockWidth;
  }
#endif
  for (var r = 0u; r < count; r++) {
    let row = row0 + r;
    let v = sums[r];
#if ${blocks}
    let base = (z * channels + channel) * u.pixels * area + i * pitch + j;
    let oc = (z % u.groups) * channels + channel;
    if (p0 < u.pixels) { y[base + starts.x] = finish(v.x, oc, base + starts.x); }
    if (p0 + 1u < u.pixels) { y[base + starts.y] = finish(v.y, oc, base + starts.y); }
    if (p0 + 2u < u.pixels) { y[base + starts.z] = finish(v.z, oc, base + starts.z); }
    if (p0 + 3u < u.pixels) { y[base + starts.w] = finish(v.w, oc, base + starts.w); }
    j++;
    if (j == u.blockWidth) { j = 0u; i++; }
    if (i == u.blockHeight) { i = 0u; channel++; }
#elif ${wide}
    let out = (z * u.rows + row) * u.pixels + p0;
    if (p0 < u.pixels) {
      y[out / 4u] = vec4<f32>(finish(v.x, w_base + row, out), finish(v.y, w_base + row, out + 1u),
        finish(v.z, w_base + row, out + 2u), finish(v.w, w_base + row, out + 3u));
    }
#else
    let out = (z * u.rows + row) * u.pixels + p0;
    if (p0 < u.pixels) { y[out] = finish(v.x, w_base + row, out); }
    if (p0 + 1u < u.pixels) { y[out + 1u] = finish(v.y, w_base + row, out + 1u); }
    if (p0 + 2u < u.pixels) { y[out + 2u] = finish(v.z, w_base + row, out + 2u); }
    if (p0 + 3u < u.pixels) { y[out + 3u] = finish(v.w, w_base + row, out + 3u); }
#endif
  }
}`,
  });
}

/** Sizes of a product; units are elements of `x` as the kernel sees it (vec4s). */
export interface GemmSizes {
  /** Images times groups. */
  readonly stacks: number;
  readonly groups: number;
  /** Rows a group. */
  readonly rows: number;
  /** Quads of channels a group. */
  readonly quads: number;
  readonly taps: number;
  readonly kw: number;
  readonly tapRow: number;
  readonly tapColumn: number;
  readonly plane: number;
  readonly pixels: number;
  readonly ow: number;
  readonly stepRow: number;
  readonly stepColumn: number;
  readonly blockHeight: number;
  readonly blockWidth: number;
}

export interface GemmTensors {
  readonly x: Tensor | TensorWindow;
  readonly weight: Tensor;
  readonly y: Tensor | TensorWindow;
  readonly bias: Tensor | undefined;
  readonly residual: Tensor | TensorWindow | undefined;
}

export function gemm(spec: GemmSpec, tensors: GemmTensors, { stacks, ...sizes }: GemmSizes): Dispatch {
  const rowTiles = Math.ceil(sizes.rows / rows);
  const pixelTiles = Math.ceil(sizes.pixels / (spec.lanes * columns));
  const workgroups = stacks * rowTiles * pixelTiles;
  return dispatch(
    gemmKernel(spec),
    { ...tensors },
    { workgroups, rowTiles, pixelTiles, ...sizes },
    grid(workgroups),
  );
}
