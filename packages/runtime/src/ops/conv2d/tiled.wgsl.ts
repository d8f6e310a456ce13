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
const each = tile / threads;
const loads = (tile * depth) / (threads * threads);

/**
 * Implicit GEMM: a workgroup makes 64 output channels x 64 pixels, the patches are gathered on the way into workgroup
 * memory. One pixel column a thread in the loads, so that its coordinates are worked out once.
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
    },
    enable: weight.enable,
    code: wgsl`
var<workgroup> w_tile: array<f32, ${tile * depth}>;
var<workgroup> x_tile: array<f32, ${tile * depth}>;
${weight.code}
${epilogueWgsl(epilogue)}
@compute @workgroup_size(${threads}, ${threads})
fn main(@builtin(workgroup_id) wid: vec3u, @builtin(local_invocation_id) lid: vec3u,
        @builtin(local_invocation_index) li: u32) {
  let pixels = u.oh * u.ow;
  let taps = u.kh * u.kw;
  let k_size = u.cg * taps;
  let row0 = wid.y * ${tile}u;
  let p0 = wid.x * ${tile}u;
  let w_base = (wid.z % u.groups) * u.og * k_size;
  let x_base = wid.z * u.cg * u.h * u.w;
  // the pixel whose patch this thread gathers
  let column = li % ${tile}u;
  let p = p0 + column;
  let y0 = i32((p / u.ow) * u.strideY) - i32(u.padY);
  let x0 = i32((p % u.ow) * u.strideX) - i32(u.padX);
  var sums: array<array<f32, ${each}>, ${each}>;
  for (var k0 = 0u; k0 < k_size; k0 += ${depth}u) {
    for (var s = 0u; s < ${loads}u; s++) {
      let i = s * ${threads * threads}u + li;
      let r = i / ${depth}u;
      let kw_at = k0 + i % ${depth}u;
      var v = 0.0;
      if (row0 + r < u.og && kw_at < k_size) { v = load_weight(w_base + (row0 + r) * k_size + kw_at); }
      w_tile[(i % ${depth}u) * ${tile}u + r] = v;
      let d = i / ${tile}u;
      let k = k0 + d;
      let tap = k % taps;
      let iy = y0 + i32((tap / u.kw) * u.dilationY);
      let ix = x0 + i32((tap % u.kw) * u.dilationX);
      v = 0.0;
      if (k < k_size && p < pixels && iy >= 0 && ix >= 0 && u32(iy) < u.h && u32(ix) < u.w) {
        v = x[x_base + ((k / taps) * u.h + u32(iy)) * u.w + u32(ix)];
      }
      x_tile[d * ${tile}u + column] = v;
    }
    workgroupBarrier();
    for (var k = 0u; k < ${depth}u; k++) {
      var wv: array<f32, ${each}>;
      for (var i = 0u; i < ${each}u; i++) { wv[i] = w_tile[k * ${tile}u + i * ${threads}u + lid.y]; }
      for (var j = 0u; j < ${each}u; j++) {
        let xv = x_tile[k * ${tile}u + j * ${threads}u + lid.x];
        for (var i = 0u; i < ${each}u; i++) { sums[i][j] += wv[i] * xv; }
      }
    }
    workgroupBarrier();
  }
  for (var i = 0u; i < ${each}u; i++) {
    let row = row0 + i * ${threads}u + lid.y;
    for (var j = 0u; j < ${each}u; j++) {
      let at = p0 + j * ${threads}u + lid.x;
      if (row < u.og && at < pixels) {
        let out = (wid.z * u.og + row) * pixels + at;
        y[out] = finish(sums[i][j], (wid.z % u.groups) * u.og + row, out);
      }
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
