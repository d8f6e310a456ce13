import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";
import { hashPcg } from "../random-uniform/spec.ts";

export interface SampleInputs {
  /** [B, V] f32. */
  readonly logits: TensorSpec;
  /** [B, L] u32: prompt and new ids so far; what the repetition penalty looks at. */
  readonly history: TensorSpec;
  /** [B] u32: how much of a row of `history` counts. */
  readonly length: TensorSpec;
  /** [B, 2] u32: seed and step; a pair gives the same random number on every device. */
  readonly random: TensorSpec;
  /** [5] f32: temperature, top-k (0: all), top-p (1: all), min-p (0: all), repetition penalty (1: none). */
  readonly settings: TensorSpec;
}

export interface SampleParams {
  /** Draw from the distribution; otherwise take its largest (temperature, top-k, top-p and min-p do not count then). */
  readonly draw: boolean;
  /** Whether the repetition penalty is applied at all: without it two dispatches are saved. */
  readonly penalty: boolean;
}

/** The token that says that a row's logits were NaN, or all minus infinity: nothing can be chosen from them. */
export const invalidToken = 0xffffffff;

export const settingsCount = 5;

export function sampleShape({ logits, history, length, random, settings }: SampleInputs): {
  batch: number;
  vocabulary: number;
  capacity: number;
} {
  const [batch, vocabulary] = logits.shape;
  const [, capacity] = history.shape;
  const fail = (what: TensorSpec, expected: string): never => {
    throw new ShapeError(`sample: ${formatSpec(what)} is not ${expected}`);
  };
  if (batch === undefined || !vocabulary || logits.shape.length !== 2) return fail(logits, "[B, V]");
  if (history.shape.length !== 2 || history.shape[0] !== batch || !capacity)
    return fail(history, `[${batch}, L]`);
  if (formatShape(length.shape) !== formatShape([batch])) return fail(length, `[${batch}]`);
  if (formatShape(random.shape) !== formatShape([batch, 2])) return fail(random, `[${batch}, 2]`);
  if (formatShape(settings.shape) !== formatShape([settingsCount]))
    return fail(settings, `[${settingsCount}]`);
  const floats = logits.dtype === "f32" && settings.dtype === "f32";
  if (!floats || [history, length, random].some((t) => t.dtype !== "u32")) {
    throw new DTypeError("sample: logits and settings are f32, history, length and random u32");
  }
  return { batch, vocabulary, capacity };
}

/** The random word of a seed at a step. */
export function randomWord(seed: number, step: number): number {
  return hashPcg((hashPcg(seed) ^ hashPcg((step + 0x9e3779b9) >>> 0)) >>> 0);
}
