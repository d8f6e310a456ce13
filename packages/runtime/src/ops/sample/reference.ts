import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { invalidToken, randomWord, type SampleInputs, type SampleParams, sampleShape } from "./spec.ts";

export interface WarpSettings {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly minP: number;
  readonly repetitionPenalty: number;
}

/** Repetition penalty as Hugging Face's processor has it: once for each id that occurred, on the raw logits. */
export function penalise(logits: Float64Array, occurred: Iterable<number>, penalty: number): Float64Array {
  const out = logits.slice();
  for (const id of new Set(occurred)) {
    const x = logits[id];
    if (x !== undefined) out[id] = x > 0 ? x / penalty : x * penalty;
  }
  return out;
}

/**
 * Probabilities behind temperature, top-k (all values tied with the k-th stay), top-p (from the least likely up, what
 * sums to at most 1 - p goes; of tied ones the lower ids go first) and min-p, in Hugging Face's order.
 */
export function warp(scores: Float64Array, settings: WarpSettings): Float64Array {
  const { temperature, topK, topP, minP } = settings;
  const max = scores.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const sorted = scores.slice().sort((a, b) => b - a);
  const kth = topK > 0 && topK < scores.length ? (sorted[topK - 1] as number) : Number.NEGATIVE_INFINITY;
  const mass = scores.map((s) => (s >= kth ? (s === max ? 1 : Math.exp((s - max) / temperature)) : 0));
  const total = mass.reduce((a, b) => a + b, 0);
  if (topP < 1) {
    const ascending = [...mass.keys()].filter((i) => (mass[i] as number) > 0);
    ascending.sort((a, b) => (scores[a] as number) - (scores[b] as number) || a - b);
    let below = 0;
    for (const [n, i] of ascending.entries()) {
      below += (mass[i] as number) / total;
      if (below > 1 - topP || n === ascending.length - 1) break;
      mass[i] = 0;
    }
  }
  for (let i = 0; i < mass.length; i++) if ((mass[i] as number) < minP) mass[i] = 0;
  const kept = mass.reduce((a, b) => a + b, 0);
  return mass.map((m) => m / kept);
}

export function sampleReference(inputs: HostTensors<SampleInputs>, params: SampleParams): HostTensor[] {
  const { batch, vocabulary, capacity } = sampleShape(inputs);
  const [temperature, topK, topP, minP, repetitionPenalty] = inputs.settings.data as unknown as [
    number,
    number,
    number,
    number,
    number,
  ];
  const out = new Float64Array(batch);
  for (let b = 0; b < batch; b++) {
    const logits = inputs.logits.data.slice(b * vocabulary, (b + 1) * vocabulary);
    const seen = inputs.history.data.slice(b * capacity, b * capacity + (inputs.length.data[b] as number));
    const scores = params.penalty ? penalise(logits, seen, repetitionPenalty) : logits;
    out[b] = choose(scores, params.draw, { temperature, topK, topP, minP, repetitionPenalty }, () =>
      randomWord(inputs.random.data[2 * b] as number, inputs.random.data[2 * b + 1] as number),
    );
  }
  return [hostResult([batch], out, "u32")];
}

function choose(scores: Float64Array, draw: boolean, settings: WarpSettings, word: () => number): number {
  const max = scores.reduce((a, b) => (Number.isNaN(b) ? b : Math.max(a, b)), Number.NEGATIVE_INFINITY);
  if (scores.some(Number.isNaN) || max === Number.NEGATIVE_INFINITY) return invalidToken;
  if (!draw) return scores.indexOf(max);
  const probabilities = warp(scores, settings);
  let target = word() / 2 ** 32;
  for (const [i, p] of probabilities.entries()) {
    if (target < p) return i;
    target -= p;
  }
  return probabilities.findLastIndex((p) => p > 0);
}
