import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type LegradMapInputs, type LegradMapParams, legradMapShape, signRows, signsShape } from "./spec.ts";

export function legradMapReference(
  inputs: HostTensors<LegradMapInputs>,
  params: LegradMapParams,
): HostTensor[] {
  const shape = legradMapShape(inputs, params);
  const { masks, tokens, heads, size, blocks } = shape;
  const width = heads * size;
  const { gradient, values } = inputs;
  const relevance = new Float64Array(masks * tokens);
  const signs = new Float64Array(masks * heads * blocks * tokens);
  for (let m = 0; m < masks; m++) {
    for (let h = 0; h < heads; h++) {
      for (let n = 0; n < tokens; n++) {
        for (let j = 0; j < tokens; j++) {
          let g = 0;
          for (let c = h * size; c < (h + 1) * size; c++) {
            g +=
              (gradient.data[(m * tokens + n) * width + c] as number) *
              (values.data[j * width + c] as number);
          }
          if (g <= 0) continue;
          const word = ((m * heads + h) * blocks + Math.floor(n / signRows)) * tokens + j;
          relevance[m * tokens + j] = (relevance[m * tokens + j] as number) + g / (heads * tokens);
          signs[word] = (signs[word] as number) + 2 ** (n % signRows);
        }
      }
    }
  }
  return [hostResult([masks, tokens], relevance), hostResult(signsShape(shape), signs, "u32")];
}
