import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { maskedBelow, type SoftmaxInputs, softmaxShape } from "./spec.ts";

export function softmaxReference({ x }: HostTensors<SoftmaxInputs>): HostTensor[] {
  const { rows, width } = softmaxShape({ x });
  const out = new Float64Array(rows * width);
  for (let row = 0; row < rows; row++) {
    const values = x.data.subarray(row * width, (row + 1) * width);
    let largest = Number.NEGATIVE_INFINITY;
    for (const value of values) largest = Math.max(largest, value);
    if (largest <= maskedBelow) continue; // every element is masked: zeros
    let sum = 0;
    for (let i = 0; i < width; i++) {
      const value = values[i] as number;
      const p = value <= maskedBelow ? 0 : Math.exp(value - largest);
      out[row * width + i] = p;
      sum += p;
    }
    for (let i = row * width; i < (row + 1) * width; i++) out[i] = (out[i] as number) / sum;
  }
  return [hostResult(x.shape, out)];
}
