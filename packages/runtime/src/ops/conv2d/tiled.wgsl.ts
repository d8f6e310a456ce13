import { dispatch, type Kernel, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, floatStorages, reader } from "../../reading.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { batchWindows, epilogueOf, imagesOf } from "./batches.ts";
import { type Epilogue, epilogueBindings, epilogueWgsl } from "./epilogue.ts";
import { type Conv2dInputs, type Conv2dParams, conv2dShape } from "./spec.ts";

const threads = 16;
const tile = 64;
const depth = 16;

/**
 * Implicit GEMM: a workgroup makes 64 output channels x 64 pixels, 4 x 4 a thread; patches are gathered on the way into
 * workgroup memory. Each thread gathers the same four pixels throughout, so that their coordinates are worked out once,
 * and one vec4 of each tile a step: loops of a constant count would be unrolled by drivers that then take seconds to
 * compile, so the two inner loops count to uniforms.
 */
function tiledKernel(storage: FloatStorage, epilogue: Epilogue) {
  const weight = reader("weight", storage, false);
  return kernel({
    name: `conv2d-tiled-${storage}`,
    bindings: { x: read("f32"), weight: weight.decl, y: write("f32"), ...epilogueBindings(epilogue) },
    uniforms: {
      cg: "u32",
      h: "u32",
      w: "u32",
      og: "u32",
      kh: "u32",
      kw: "u32",
      oh: "u32",
      ow: "u32",
      groups: "u32",
      strideY: "u32",
      strideX: "u32",
      padY: "u32",
      padX: "u32",
      dilationY: "u32",
      dilationX: "u32",
      depth: "u32",
    },
    enable: weight.enable,
    code: wgsl`
var<workgroup> w_tile: array<vec4<f32>, ${(tile * depth) / 4}>;
var<workgroup> x_tile: array<vec4<f32>, ${(tile * depth) / 4}>;
${weight.code}
${epilogueWgsl(epilogue)}
@compute @workgroup_size(${threads}, ${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u) {
  let pixels = u.oh * u.ow;
  let taps = u.kh * u.kw;
  let k_size = u.cg * taps;
  let row0 = wid.y * ${tile}u;
  let p0 = wid.x * ${tile}u + lid.x * 4u;
  let x_base = wid.z * u.cg * u.h * u.w;
  let w_base = (wid.z % u.groups) * u.og;
  // loads: x of pixels p0.. at depth lid.y, weights of rows 4·lid.y.. at depth lid.x
  let w_rows = row0 + lid.y * 4u;
  var origin: array<vec2<i32>, 4>;
  for (var i = 0u; i < 4u; i++) {
    let p = min(p0 + i, pixels - 1u);
    origin[i] = vec2<i32>(i32((p / u.ow) * u.strideY) - i32(u.padY), i32((p % u.ow) * u.strideX) - i32(u.padX));
  }
  var s0: vec4<f32>; var s1: vec4<f32>; var s2: vec4<f32>; var s3: vec4<f32>;
  for (var k0 = 0u; k0 < k_size; k0 += ${depth}u) {
    let k = k0 + lid.y;
    let tap = k % taps;
    let plane = x_base + (k / taps) * u.h * u.w;
    let dy = i32((tap / u.kw) * u.dilationY);
    let dx = i32((tap % u.kw) * u.dilationX);
    // with their value: without one, they were seen to keep what the turn before had put into them
    var xv = vec4<f32>();
    var wv = vec4<f32>();
    for (var i = 0u; i < 4u; i++) {
      let iy = origin[i].x + dy;
      let ix = origin[i].y + dx;
      if (k < k_size && iy >= 0 && ix >= 0 && u32(iy) < u.h && u32(ix) < u.w) {
        xv[i] = x[plane + u32(iy) * u.w + u32(ix)];
      }
      if (k0 + lid.x < k_size && w_rows + i < u.og) {
        wv[i] = load_weight((w_base + w_rows + i) * k_size + k0 + lid.x);
      }
    }
    x_tile[lid.y * ${threads}u + lid.x] = xv;
    w_tile[lid.x * ${threads}u + lid.y] = wv;
    workgroupBarrier();
    for (var d = 0u; d < u.depth; d++) {
      let a = x_tile[d * ${threads}u + lid.x];
      let b = w_tile[d * ${threads}u + lid.y];
      s0 += b.x * a;
      s1 += b.y * a;
      s2 += b.z * a;
      s3 += b.w * a;
    }
    workgroupBarrier();
  }
  var sums = array<vec4<f32>, 4>(s0, s1, s2, s3);
  let count = 4u * min(4u, select(u.og - w_rows, 0u, w_rows >= u.og));
  for (var i = 0u; i < count; i++) {
    let at = p0 + i % 4u;
    if (at < pixels) {
      let row = w_rows + i / 4u;
      let out = (wid.z * u.og + row) * pixels + at;
      y[out] = finish(sums[i / 4u][i % 4u], w_base + row, out);
    }
  }
}`,
  });
}

function tiledVariant(storage: FloatStorage): Variant<Conv2dInputs, Conv2dParams> {
  return {
    name: `tiled-${storage}`,
    supports(inputs, _params, caps) {
      return (
        floatStorages(inputs.weight.dtype, caps).includes(storage) &&
        caps.limits.maxComputeInvocationsPerWorkgroup >= threads * threads
      );
    },
    build({ inputs, outputs, params, caps }) {
      const { x, weight, bias, residual } = inputs;
      const y = outputs[0] as Tensor;
      const s = conv2dShape(inputs, params);
      const compiled: Kernel = tiledKernel(storage, epilogueOf(inputs, params));
      return batchWindows("conv2d", [x, y, residual], s.groups, caps).map((images) =>
        dispatch(
          compiled,
          {
            x: imagesOf(x, images),
            weight,
            y: imagesOf(y, images),
            bias,
            residual: imagesOf(residual, images),
          },
          {
            cg: s.cg,
            h: s.h,
            w: s.w,
            og: s.og,
            kh: s.kh,
            kw: s.kw,
            oh: s.oh,
            ow: s.ow,
            groups: s.groups,
            strideY: params.stride[0],
            strideX: params.stride[1],
            padY: params.padding[0],
            padX: params.padding[1],
            dilationY: params.dilation[0],
            dilationX: params.dilation[1],
            depth,
          },
          [Math.ceil((s.oh * s.ow) / tile), Math.ceil(s.og / tile), images.count * s.groups],
        ),
      );
    },
  };
}

const storages: FloatStorage[] = ["f32", "f16", "packed"];

/** Correct for every convolution; the one for graphics hardware. */
export const tiledVariants = storages.map(tiledVariant);
