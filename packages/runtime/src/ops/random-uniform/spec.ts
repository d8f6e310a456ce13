import { toFloat16Bits } from "../../float16.ts";
import { type QuantizedDType, quantGroup } from "../../quantized.ts";
import type { TensorSpec } from "../../tensor.ts";

export interface RandomUniformInputs {
  /** f32, f16 or quantised, overwritten. */
  readonly target: TensorSpec;
}

export interface RandomUniformParams {
  /** Values lie in [mean - range, mean + range). Of q8_0 and q4_0 the mean is 0. */
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

/** A word of four or eight uniform quants: what all groups' one scale spans is [mean - range, mean + range). */
export function randomQuants(word: number, seed: number): number {
  return hashPcg((word ^ hashPcg(seed)) >>> 0);
}

/** The word of scales that all groups have: two of them, or scale and minimum. */
export function uniformScales(dtype: QuantizedDType, { range, mean }: RandomUniformParams): number {
  const d = toFloat16Bits((2 * range) / (dtype === "q8_0" ? 256 : 16));
  const second = dtype === "q4_1" ? toFloat16Bits(mean - range) : d;
  return (d | (second << 16)) >>> 0;
}

/** Words of quants a group. */
export function wordsOfGroup(dtype: QuantizedDType): number {
  return quantGroup / (dtype === "q8_0" ? 4 : 8);
}
