import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { adamwRates, embeddingAdamwOp } from "./index.ts";
import type { EmbeddingAdamwInputs, EmbeddingAdamwParams } from "./spec.ts";

function adamwCase(
  name: string,
  masks: number,
  width: number,
  alpha: number,
  decay: number,
): OpCase<EmbeddingAdamwInputs, EmbeddingAdamwParams> {
  const steps = 5;
  return {
    name: `${name}: ${masks}x${width}`,
    params: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay, alpha, scale: 1 / masks },
    inputs: (r) => ({
      gradient: r.normals([masks, width], { scale: 0.02 }),
      dice: r.normals([masks], { mean: 0.5, scale: 0.1 }),
      anchor: r.normals([1, width]),
      rates: hostTensor([steps, 2], "f32", adamwRates(steps, 0.1, 0.9, 0.999)),
      embedding: r.normals([masks, width]),
      moments: hostTensor(
        [2, masks, width],
        "f32",
        r
          .normals([2, masks, width], { scale: 0.01 })
          .data.map((v, i) => (i < masks * width ? v : v * v + 1e-5)),
      ),
      losses: r.normals([masks, steps]),
      step: r.integers([masks], 0, steps),
    }),
    // a quotient of sums: some roundings of values of size 1
    tolerance: { abs: 3e-6, rel: 1e-5 },
  };
}

export const embeddingAdamwSuite = suite(embeddingAdamwOp, [
  adamwCase("plain", 1, 1, 0, 0),
  adamwCase("held to the anchor, decaying", 5, 24, 0.5, 0.02),
  adamwCase("wide", 3, 301, 0.1, 0),
]);
