import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type MaskPoolInputs, maskPoolShape } from "./spec.ts";

export function maskPoolReference({ features, masks }: HostTensors<MaskPoolInputs>): HostTensor[] {
  const { tokens, d, masks: count } = maskPoolShape({ features, masks });
  const out = new Float64Array(count * d);
  for (let m = 0; m < count; m++) {
    const weights = masks.data.slice(m * tokens, (m + 1) * tokens);
    const total = weights.reduce((sum, v) => sum + v, 0);
    if (!(total > 0)) continue;
    for (let k = 0; k < d; k++) {
      let sum = 0;
      for (let t = 0; t < tokens; t++) sum += (weights[t] as number) * (features.data[t * d + k] as number);
      out[m * d + k] = sum / total;
    }
  }
  return [hostResult([count, d], out)];
}
