import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import {
  type AdaptiveAvgPool2dInputs,
  type AdaptiveAvgPool2dParams,
  adaptiveAvgPool2dShape,
} from "./spec.ts";

export function adaptiveAvgPool2dReference(
  { x }: HostTensors<AdaptiveAvgPool2dInputs>,
  params: AdaptiveAvgPool2dParams,
): HostTensor[] {
  const { planes, h, w, oh, ow } = adaptiveAvgPool2dShape({ x }, params);
  const out = new Float64Array(planes * oh * ow);
  let at = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (let py = 0; py < oh; py++) {
      const [y0, y1] = [Math.floor((py * h) / oh), Math.ceil(((py + 1) * h) / oh)];
      for (let px = 0; px < ow; px++) {
        const [x0, x1] = [Math.floor((px * w) / ow), Math.ceil(((px + 1) * w) / ow)];
        let sum = 0;
        for (let iy = y0; iy < y1; iy++)
          for (let ix = x0; ix < x1; ix++) sum += x.data[(plane * h + iy) * w + ix] as number;
        out[at++] = sum / ((y1 - y0) * (x1 - x0));
      }
    }
  }
  return [hostResult([x.shape[0] as number, x.shape[1] as number, oh, ow], out)];
}
