import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import {
  type DeformableAttentionInputs,
  type DeformableAttentionParams,
  deformableAttentionShape,
} from "./spec.ts";

/** Zhu et al., Deformable DETR (2021), equation 3, sampled like torch's grid_sample (zeros, align_corners off). */
export function deformableAttentionReference(
  { value, locations, weights }: HostTensors<DeformableAttentionInputs>,
  params: DeformableAttentionParams,
): HostTensor[] {
  const { b, s, heads, d, q, points } = deformableAttentionShape({ value, locations, weights }, params);
  const { levels, softmax } = params;
  const samples = levels.length * points;
  const out = new Float64Array(b * q * heads * d);
  for (let row = 0; row < b * q * heads; row++) {
    const image = Math.floor(row / (q * heads));
    const head = row % heads;
    let w = weights.data.slice(row * samples, (row + 1) * samples);
    if (softmax) {
      const most = Math.max(...w);
      w = w.map((v) => Math.exp(v - most));
      const total = w.reduce((sum, v) => sum + v, 0);
      w = w.map((v) => v / total);
    }
    let start = 0;
    for (const [level, [height, width]] of levels.entries()) {
      for (let point = 0; point < points; point++) {
        const sample = level * points + point;
        const x = (locations.data[(row * samples + sample) * 2] as number) * width - 0.5;
        const y = (locations.data[(row * samples + sample) * 2 + 1] as number) * height - 0.5;
        for (const iy of [Math.floor(y), Math.floor(y) + 1]) {
          for (const ix of [Math.floor(x), Math.floor(x) + 1]) {
            if (iy < 0 || iy >= height || ix < 0 || ix >= width) continue;
            const weight = (w[sample] as number) * (1 - Math.abs(y - iy)) * (1 - Math.abs(x - ix));
            const from = ((image * s + start + iy * width + ix) * heads + head) * d;
            for (let k = 0; k < d; k++)
              out[row * d + k] = (out[row * d + k] as number) + weight * (value.data[from + k] as number);
          }
        }
      }
      start += height * width;
    }
  }
  return [hostResult([b, q, heads * d], out)];
}
