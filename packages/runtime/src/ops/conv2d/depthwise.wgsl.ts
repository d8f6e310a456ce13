import { dispatch, grid, kernel, read, write } from "../../kernel.ts";
import type { Variant } from "../../op.ts";
import { type FloatStorage, floatStorages, reader } from "../../reading.ts";
import type { Tensor } from "../../tensor.ts";
import { wgsl } from "../../wgsl.ts";
import { batchWindows, epilogueOf, imagesOf } from "./batches.ts";
import { type Epilogue, epilogueBindings, epilogueWgsl } from "./epilogue.ts";
import { type Conv2dInputs, type Conv2dParams, conv2dShape } from "./spec.ts";

const threads = 64;

/** One input channel an output channel: an output a thread. */
function depthwiseKernel(storage: FloatStorage, epilogue: Epilogue) {
  const weight = reader("weight", storage, false);
  return kernel({
    name: `conv2d-depthwise-${storage}`,
    bindings: { x: read("f32"), weight: weight.decl, y: write("f32"), ...epilogueBindings(epilogue) },
    uniforms: {
      count: "u32",
      og: "u32",
      channels: "u32",
      h: "u32",
      w: "u32",
      kh: "u32",
      kw: "u32",
      oh: "u32",
      ow: "u32",
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
  let at = flat_invocation(gid, nwg, ${threads}u);
  if (at >= u.count) { return; }
  let px = at % u.ow;
  let py = (at / u.ow) % u.oh;
  let plane = at / (u.ow * u.oh);
  let channel = plane % u.channels;
  // outputs of one input channel follow each other, so input planes count as output planes do
  let base = (plane / u.og) * u.h;
  let y0 = i32(py * u.strideY) - i32(u.padY);
  let x0 = i32(px * u.strideX) - i32(u.padX);
  var sum = 0.0;
  for (var i = 0u; i < u.kh; i++) {
    let iy = y0 + i32(i * u.dilationY);
    if (iy < 0 || u32(iy) >= u.h) { continue; }
    for (var j = 0u; j < u.kw; j++) {
      let ix = x0 + i32(j * u.dilationX);
      if (ix < 0 || u32(ix) >= u.w) { continue; }
      sum += x[(base + u32(iy)) * u.w + u32(ix)] * load_weight((channel * u.kh + i) * u.kw + j);
    }
  }
  y[at] = finish(sum, channel, at);
}`,
  });
}

function depthwiseVariant(storage: FloatStorage): Variant<Conv2dInputs, Conv2dParams> {
  return {
    name: `depthwise-${storage}`,
    supports({ weight }, _params, caps) {
      return weight.shape[1] === 1 && floatStorages(weight.dtype, caps).includes(storage);
    },
    build({ inputs, outputs, params, caps }) {
      const { x, weight, bias, residual } = inputs;
      const y = outputs[0] as Tensor;
      const s = conv2dShape(inputs, params);
      const compiled = depthwiseKernel(storage, epilogueOf(inputs, params));
      return batchWindows("conv2d", [x, y, residual], 1, caps).map((images) => {
        const count = images.count * s.o * s.oh * s.ow;
        return dispatch(
          compiled,
          {
            x: imagesOf(x, images),
            weight,
            y: imagesOf(y, images),
            bias,
            residual: imagesOf(residual, images),
          },
          {
            count,
            og: s.og,
            channels: s.o,
            h: s.h,
            w: s.w,
            kh: s.kh,
            kw: s.kw,
            oh: s.oh,
            ow: s.ow,
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

/** For convolutions with one input channel a group. */
export const depthwiseVariants = storages.map(depthwiseVariant);
