import type { HostTensor } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { type EmbeddingAdamwInputs, type EmbeddingAdamwParams, embeddingAdamwShape } from "./spec.ts";

export function embeddingAdamwReference(
  inputs: HostTensors<EmbeddingAdamwInputs>,
  params: EmbeddingAdamwParams,
): HostTensor[] {
  const { masks, width, steps } = embeddingAdamwShape(inputs);
  const { gradient, dice, anchor, rates, embedding, moments, losses, step } = inputs;
  const { alpha, beta1, beta2, epsilon, decay, scale } = params;
  const dot = (a: Float64Array, b: Float64Array) => a.reduce((s, v, i) => s + v * (b[i] as number), 0);
  for (let m = 0; m < masks; m++) {
    const row = [m * width, (m + 1) * width] as const;
    const [t, g] = [embedding.data.subarray(...row), gradient.data.subarray(...row)];
    const f = anchor.data;
    const inverse = dot(t, t) > 0 ? 1 / Math.sqrt(dot(t, t)) : 0;
    const anchorInverse = dot(f, f) > 0 ? 1 / Math.sqrt(dot(f, f)) : 0;
    const along = dot(t, g) * inverse;
    const cosine = dot(t, f) * inverse * anchorInverse;
    const k = Math.min(step.data[m] as number, steps - 1);
    const [rate, second] = [rates.data[2 * k] as number, rates.data[2 * k + 1] as number];
    losses.data[m * steps + k] = dice.data[m] as number;
    step.data[m] = (step.data[m] as number) + 1;
    for (let i = 0; i < width; i++) {
      const at = m * width + i;
      const unit = (t[i] as number) * inverse;
      const pull = unit * cosine - (f[i] as number) * anchorInverse;
      const d = ((g[i] as number) - unit * along + alpha * scale * pull) * inverse;
      const m1 = beta1 * (moments.data[at] as number) + (1 - beta1) * d;
      const m2 = beta2 * (moments.data[masks * width + at] as number) + (1 - beta2) * d * d;
      moments.data[at] = m1;
      moments.data[masks * width + at] = m2;
      t[i] = (t[i] as number) * (1 - decay) - (rate * m1) / (Math.sqrt(m2) * second + epsilon);
    }
  }
  return [];
}
