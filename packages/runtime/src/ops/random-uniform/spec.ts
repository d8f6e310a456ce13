import type { TensorSpec } from "../../tensor.ts";

export interface RandomUniformInputs {
  /** f32 or f16, overwritten. */
  readonly target: TensorSpec;
}

export interface RandomUniformParams {
  /** Values lie in [mean - range, mean + range). */
  readonly range: number;
  readonly mean: number;
  readonly seed: number;
}

/** The PCG output permutation on a 32-bit counter (Jarzynski and Olano 2020), as the kernel computes it. */
export function hashPcg(input: number): number {
  const state = (Math.imul(input, 747796405) + 2891336453) >>> 0;
  const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
  return ((word >>> 22) ^ word) >>> 0;
}

/** In [-1, 1): 24 bits of the hash, so that f32 holds it exactly. */
export function uniformAt(index: number, seed: number): number {
  return (hashPcg((index ^ hashPcg(seed)) >>> 0) >>> 8) / 2 ** 23 - 1;
}
