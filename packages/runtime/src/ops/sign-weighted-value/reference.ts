import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { signRows } from "../legrad-map/spec.ts";
import { type SignWeightedValueInputs, signWeightedValueShape } from "./spec.ts";

export function signWeightedValueReference(inputs: HostTensors<SignWeightedValueInputs>): HostTensor[] {
  const { masks, tokens, heads, size, blocks } = signWeightedValueShape(inputs);
  const { signs, weights, values } = inputs;
  const width = heads * size;
  const out = new Float64Array(masks * tokens * width);
  for (let m = 0; m < masks; m++) {
    for (let h = 0; h < heads; h++) {
      for (let n = 0; n < tokens; n++) {
        for (let j = 0; j < tokens; j++) {
          const word = signs.data[
            ((m * heads + h) * blocks + Math.floor(n / signRows)) * tokens + j
          ] as number;
          if (((word >>> (n % signRows)) & 1) === 0) continue;
          const weight = (weights.data[m * tokens + j] as number) / (heads * tokens);
          for (let c = h * size; c < (h + 1) * size; c++) {
            const at = (m * tokens + n) * width + c;
            out[at] = (out[at] as number) + weight * (values.data[j * width + c] as number);
          }
        }
      }
    }
  }
  return [hostResult([masks, tokens, width], out)];
}
