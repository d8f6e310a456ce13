import { type Device, ropeFrequencies, type Tensor } from "@mask-llava/runtime";
import type { LlamaConfig } from "./config.ts";

/** Rotary frequencies on the GPU; whoever makes it disposes `inverseFrequencies`. */
export interface RopeTable {
  readonly inverseFrequencies: Tensor; // f32 [d/2]
  readonly attentionScaling: number;
}

/** Throws a ConfigError-like RuntimeError for a `rope_type` that is not implemented. */
export function ropeTable(device: Device, config: LlamaConfig): RopeTable {
  const { inverseFrequencies, attentionScaling } = ropeFrequencies({
    ...config.rope,
    head_dim: config.head_dim,
  });
  const shape = [inverseFrequencies.length];
  return {
    inverseFrequencies: device.tensor(
      { shape, dtype: "f32", label: "rope.inverse_frequencies" },
      inverseFrequencies,
    ),
    attentionScaling,
  };
}
