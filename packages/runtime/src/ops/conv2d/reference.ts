import { activationReference } from "../../activation.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type Conv2dInputs, type Conv2dParams, conv2dShape } from "./spec.ts";

export function conv2dReference(inputs: HostTensors<Conv2dInputs>, params: Conv2dParams): HostTensor[] {
  const { n, c, h, w, o, kh, kw, oh, ow, cg, og } = conv2dShape(inputs, params);
  const { x, weight, bias, residual } = inputs;
  const { stride, padding, dilation, addFirst } = params;
  const activate = activationReference(params.activation);
  const out = new Float64Array(n * o * oh * ow);
  let at = 0;
  for (let b = 0; b < n; b++) {
    for (let channel = 0; channel < o; channel++) {
      const c0 = Math.floor(channel / og) * cg;
      for (let py = 0; py < oh; py++) {
        for (let px = 0; px < ow; px++, at++) {
          let sum = bias?.data[channel] ?? 0;
          for (let k = 0; k < cg; k++) {
            for (let i = 0; i < kh; i++) {
              const iy = py * stride[0] - padding[0] + i * dilation[0];
              if (iy < 0 || iy >= h) continue;
              for (let j = 0; j < kw; j++) {
                const ix = px * stride[1] - padding[1] + j * dilation[1];
                if (ix < 0 || ix >= w) continue;
                sum +=
                  (x.data[((b * c + c0 + k) * h + iy) * w + ix] as number) *
                  (weight.data[((channel * cg + k) * kh + i) * kw + j] as number);
              }
            }
          }
          const add = residual?.data[at] ?? 0;
          out[at] = addFirst ? activate(sum + add) : activate(sum) + add;
        }
      }
    }
  }
  return [hostResult([n, o, oh, ow], out)];
}
