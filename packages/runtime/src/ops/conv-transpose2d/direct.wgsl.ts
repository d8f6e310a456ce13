import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, floatStorages, reader } from "../../reading.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { batchWindows, imagesOf } from "../conv2d/batches.ts";
import { type Epilogue, epilogueBindings, epilogueWgsl } from "../conv2d/epilogue.ts";
import { type ConvTranspose2dInputs, type ConvTranspose2dParams, convTranspose2dShape } from "./spec.ts";

const threads = 64;

/** A pixel of four output channels a thread: gathers the input pixels whose taps meet there. */
function directKernel(storage: FloatStorage, epilogue: Epilogue) {
  const weight = reader("weight", storage, false);
  return kernel({
    name: `conv-transpose2d-direct-${storage}`,
    bindings: { x: read("f32"), weight: weight.decl, y: write("f32"), ...epilogueBindings(epilogue) },
    uniforms: {
      count: "u32",
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
${weight.code}
${epilogueWgsl(epilogue)}
@compute @workgroup_size(${threads})
fn main(@builtin(global_invocation_id) gid: vec3u, @builtin(num_workgroups) nwg: vec3u) {
  let item = flat_invocation(gid, nwg, ${threads}u);
  if (item >= u.count) { return; }
  let pixels = u.oh * u.ow;
  let p = item % pixels;
  let quads = (u.og + 3u) / 4u;
  let channel0 = ((item / pixels) % quads) * 4u;
  let z = item / (pixels * quads);
  let group = z % u.groups;
  let last = u.og - 1u - channel0;
  let area = u.kh * u.kw;
  var sums = vec4<f32>();
  for (var i = 0u; i < u.kh; i++) {
    let ty = i32(p / u.ow + u.padY) - i32(i * u.dilationY);
    if (ty < 0 || u32(ty) % u.strideY != 0u || u32(ty) / u.strideY >= u.h) { continue; }
    for (var j = 0u; j < u.kw; j++) {
      let tx = i32(p % u.ow + u.padX) - i32(j * u.dilationX);
      if (tx < 0 || u32(tx) % u.strideX != 0u || u32(tx) / u.strideX >= u.w) { continue; }
      let x0 = (z * u.cg * u.h + u32(ty) / u.strideY) * u.w + u32(tx) / u.strideX;
      let w0 = ((group * u.cg * u.og + channel0) * u.kh + i) * u.kw + j;
      for (var c = 0u; c < u.cg; c++) {
        let at = w0 + c * u.og * area;
        // channels beyond the last repeat it and are not stored
        let w = vec4<f32>(load_weight(at), load_weight(at + min(1u, last) * area),
          load_weight(at + min(2u, last) * area), load_weight(at + min(3u, last) * area));
        sums += w * x[x0 + c * u.h * u.w];
      }
    }
  }
  let count = min(4u, last + 1u);
  for (var i = 0u; i < count; i++) {
    let out = (z * u.og + channel0 + i) * pixels + p;
    y[out] = finish(sums[i], group * u.og + channel0 + i, out);
  }
}`,
  });
}

function directVariant(storage: FloatStorage): Variant<ConvTranspose2dInputs, ConvTranspose2dParams> {
  return {
    name: `direct-${storage}`,
    supports({ weight }, _params, caps) {
      return floatStorages(weight.dtype, caps).includes(storage);
    },
    build({ inputs, outputs, params, caps }) {
      const { x, weight, bias } = inputs;
      const y = outputs[0] as Tensor;
      const s = convTranspose2dShape(inputs, params);
      const epilogue = { activation: params.activation, bias: !!bias, residual: false, addFirst: false };
      const compiled = directKernel(storage, epilogue);
      return batchWindows("convTranspose2d", [x, y], 1, caps).map((images) => {
        const count = images.count * s.groups * Math.ceil(s.og / 4) * s.oh * s.ow;
        return dispatch(
          compiled,
          { x: imagesOf(x, images), weight, y: imagesOf(y, images), bias, residual: undefined },
          {
            count,
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
          grid(count, threads),
        );
      });
    },
  };
}

const storages: FloatStorage[] = ["f32", "f16", "packed"];

/** Correct for every transposed convolution. */
export const directVariants = storages.map(directVariant);
