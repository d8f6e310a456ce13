import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type MaxPool2dInputs, type MaxPool2dParams, maxPool2dShape } from "./spec.ts";

export function maxPool2dReference(
  { x }: HostTensors<MaxPool2dInputs>,
  params: MaxPool2dParams,
): HostTensor[] {
  const { planes, h, w, oh, ow } = maxPool2dShape({ x }, params);
  const { kernel, stride, padding, dilation } = params;
  const out = new Float64Array(planes * oh * ow);
  let at = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let py = 0; py < oh; py++) {
      for (let px = 0; px < ow; px++) {
        let most = Number.NEGATIVE_INFINITY;
        for (let i = 0; i < kernel[0]; i++) {
          const iy = py * stride[0] - padding[0] + i * dilation[0];
          if (iy < 0 || iy >= h) continue;
          for (let j = 0; j < kernel[1]; j++) {
            const ix = px * stride[1] - padding[1] + j * dilation[1];
            if (ix >= 0 && ix < w) most = Math.max(most, x.data[(plane * h + iy) * w + ix] as number);
          }
        }
        out[at++] = most;
      }
    }
  }
  return [hostResult([x.shape[0] as number, x.shape[1] as number, oh, ow], out)];
}
