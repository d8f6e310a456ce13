import {
  activationDerivativeOp,
  adamwRates,
  embeddingAdamwOp,
  hostTensor,
  layerNormVjpOp,
  legradMapOp,
  mapDiceOp,
  signWeightedValueOp,
  tokenDotsOp,
  tokenTermsOp,
  weightedMeanOp,
} from "@mask-llava/runtime";
import type { Size } from "../common/sizes.ts";
import { type KernelCase, kernelCase, uniform } from "./cases.ts";
import { FastRandom } from "./fast-random.ts";

/** MaskInversion's fused passes over CLIP L/14-336, 30 masks at once; fewer masks and a coarser grid at small sizes. */
export function maskInversionCases(size: Size): KernelCase[] {
  const { masks, side, heads } = {
    tiny: { masks: 2, side: 8, heads: 2 },
    small: { masks: 8, side: 24, heads: 4 },
    real: { masks: 30, side: 24, heads: 16 },
  }[size];
  const [patches, d, f] = [side ** 2, 64 * heads, 256 * heads];
  const tokens = 1 + patches;
  const embedding = size === "tiny" ? 48 : 768;
  const what = `${masks} masks, ${tokens} tokens, D ${d}`;
  return [
    kernelCase(legradMapOp, what, {
      params: { heads },
      // products and their sums are exact, so that signs are; sums of positive terms: a relative rounding of some 1e-7 each
      tolerance: { abs: 1e-6, rel: 3e-6 },
      inputs: () => ({
        gradient: eighths([masks, tokens, d], 1),
        values: eighths([tokens, d], 2),
      }),
    }),
    kernelCase(signWeightedValueOp, what, {
      params: {},
      // sums of N terms of size 1/sqrt(N): roundings grow like sqrt(N)·2^-24 of a value of size 1
      tolerance: { abs: 4e-6, rel: 4e-6 },
      inputs: () => ({
        signs: words([masks, heads, Math.ceil(tokens / 32), tokens]),
        weights: uniform([masks, tokens], { deviation: heads * tokens }),
        values: uniform([tokens, d], { deviation: 1 / Math.sqrt(tokens) }),
      }),
    }),
    kernelCase(tokenTermsOp, what, {
      params: {},
      // a few products of values of size 1
      tolerance: { abs: 2e-6, rel: 2e-6 },
      inputs: () => ({
        x: uniform([masks, tokens, d]),
        added: uniform([masks, d]),
        coefficients: uniform([masks, 2 * tokens]),
        shared: uniform([d]),
        own: uniform([tokens, d]),
      }),
    }),
    kernelCase(tokenDotsOp, what, {
      params: {},
      // sums of D terms of size 1/sqrt(D), each thread a few of them
      tolerance: { abs: 2e-6, rel: 2e-6 },
      inputs: () => ({
        x: uniform([masks, tokens, d]),
        shared: uniform([d], { deviation: 1 / Math.sqrt(d) }),
        own: uniform([tokens, d], { deviation: 1 / Math.sqrt(d) }),
      }),
    }),
    kernelCase(weightedMeanOp, `${masks} masks, ${tokens} tokens, F ${f}`, {
      params: {},
      // eight sums of n / 8 terms: some tens of roundings of values below 10, divided by n
      tolerance: { abs: 2e-6, rel: 2e-6 },
      inputs: () => ({ x: uniform([masks, tokens, f]), weight: uniform([tokens, f]) }),
    }),
    kernelCase(activationDerivativeOp, `[${tokens}, ${f}]`, {
      params: { activation: "quick_gelu" },
      // two or three exponentials of 2 ulp, and products of their arguments' rounding
      tolerance: { abs: 2e-6, rel: 4e-6 },
      inputs: () => ({ x: uniform([tokens, f], { deviation: 2.5 }) }),
    }),
    kernelCase(layerNormVjpOp, `[${embedding}, ${d}]`, {
      params: {},
      // means of D terms of size 1, and a difference of three values of size 1 to 3
      tolerance: { abs: 3e-6, rel: 3e-6 },
      inputs: () => ({
        gradient: uniform([embedding, d]),
        normalized: uniform([1, d]),
        scale: uniform([1], { mean: 1, deviation: 0.1 }),
        weight: uniform([d], { mean: 1, deviation: 0.2 }),
      }),
    }),
    diceCase(masks, side),
    adamwCase(masks, embedding),
  ];
}

/** Min-max, dice and its gradient on maps of patches of 14 pixels. */
function diceCase(masks: number, side: number): KernelCase {
  const [patches, patch] = [side ** 2, 14];
  return kernelCase(mapDiceOp, `${masks} masks, ${side}x${side} patches of ${patch}`, {
    params: { rows: side, columns: side, patch, scale: 1 / masks },
    // gradients are differences of sums of up to 1e3: relative errors of some 1e-6, and absolute ones where they cancel
    tolerance: { abs: 1e-5, rel: 2e-5 },
    inputs: () => ({
      relevance: uniform([masks, 1 + patches], { deviation: 1e-3 }),
      coverage: uniform([masks, patches], { mean: patch ** 2 / 2, deviation: patch ** 2 / 4 }),
      area: hostTensor([patches], "f32", new Float64Array(patches).fill(patch ** 2)),
    }),
  });
}

function adamwCase(masks: number, embedding: number): KernelCase {
  const steps = 100;
  return kernelCase(embeddingAdamwOp, `${masks}x${embedding}`, {
    params: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0, alpha: 0.1, scale: 1 / masks },
    // a quotient of sums: some roundings of values of size 1
    tolerance: { abs: 3e-6, rel: 1e-5 },
    inputs: () => ({
      gradient: uniform([masks, embedding], { deviation: 0.02 }),
      dice: uniform([masks], { mean: 0.5, deviation: 0.1 }),
      anchor: uniform([1, embedding]),
      rates: hostTensor([steps, 2], "f32", adamwRates(steps, 0.1, 0.9, 0.999)),
      embedding: uniform([masks, embedding]),
      // second moments are squares
      moments: uniform([2, masks, embedding], { mean: 3e-4, deviation: 1e-4 }),
      losses: uniform([masks, steps]),
      step: hostTensor([masks], "u32", new Float64Array(masks)),
    }),
  });
}

/** Eighths between -2 and 2: their products and sums are exact in f32, so that signs can be compared. */
function eighths(shape: readonly number[], seed: number) {
  const random = new FastRandom(seed);
  const data = Float64Array.from(
    { length: shape.reduce((a, b) => a * b, 1) },
    () => random.integer(-16, 17) / 8,
  );
  return hostTensor(shape, "f32", data);
}

function words(shape: readonly number[]) {
  return new FastRandom(3).integers(shape, 0, 2 ** 32);
}
