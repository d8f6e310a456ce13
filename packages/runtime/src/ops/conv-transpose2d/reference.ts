import { activationReference } from "../../activation.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type ConvTranspose2dInputs, type ConvTranspose2dParams, convTranspose2dShape } from "./spec.ts";

/** Scatters every input pixel, as the definition has it; the kernels gather. */
export function convTranspose2dReference(
  inputs: HostTensors<ConvTranspose2dInputs>,
  params: ConvTranspose2dParams,
): HostTensor[] {
  const { n, c, h, w, o, kh, kw, oh, ow, cg, og } = convTranspose2dShape(inputs, params);
  const { x, weight, bias } = inputs;
  const { stride, padding, dilation } = params;
  const activate = activationReference(params.activation);
  const out = new Float64Array(n * o * oh * ow);
  for (let b = 0; b < n; b++) {
    for (let k = 0; k < c; k++) {
      const o0 = Math.floor(k / cg) * og;
      for (let iy = 0; iy < h; iy++) {
        for (let ix = 0; ix < w; ix++) {
          const value = x.data[((b * c + k) * h + iy) * w + ix] as number;
          for (let channel = 0; channel < og; channel++) {
            for (let i = 0; i < kh; i++) {
              const py = iy * stride[0] - padding[0] + i * dilation[0];
              if (py < 0 || py >= oh) continue;
              for (let j = 0; j < kw; j++) {
                const px = ix * stride[1] - padding[1] + j * dilation[1];
                if (px < 0 || px >= ow) continue;
                const at = ((b * o + o0 + channel) * oh + py) * ow + px;
                out[at] =
                  (out[at] as number) +
                  value * (weight.data[((k * og + channel) * kh + i) * kw + j] as number);
              }
            }
          }
        }
      }
    }
  }
  for (let at = 0; at < out.length; at++) {
    const channel = Math.floor(at / (oh * ow)) % o;
    out[at] = activate((out[at] as number) + (bias?.data[channel] ?? 0));
  }
  return [hostResult([n, o, oh, ow], out)];
}
