import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

export interface EmbeddingAdamwInputs {
  /** dLoss/dt^, by the embedding's direction. [M, E], f32. */
  readonly gradient: TensorSpec;
  /** Dice of the map that the embedding had. [M], f32. */
  readonly dice: TensorSpec;
  /** f: what alpha holds the embeddings to. [1, E], f32. */
  readonly anchor: TensorSpec;
  /** Learning rate over the first bias correction, and 1 / sqrt of the second, by step. [steps, 2], f32. */
  readonly rates: TensorSpec;
  /** t, written. [M, E], f32. */
  readonly embedding: TensorSpec;
  /** First and second moments, written. [2, M, E], f32. */
  readonly moments: TensorSpec;
  /** Dice of each mask, kept by step: written at the current one. [M, steps], f32. */
  readonly losses: TensorSpec;
  /** How many steps each mask has made, written: + 1. [M], u32. */
  readonly step: TensorSpec;
}

export interface EmbeddingAdamwParams {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Learning rate times weight decay. */
  readonly decay: number;
  readonly alpha: number;
  /** Of the alpha term's gradient: 1 / masks. */
  readonly scale: number;
}

export function embeddingAdamwShape(inputs: EmbeddingAdamwInputs): {
  masks: number;
  width: number;
  steps: number;
} {
  const [masks, width] = inputs.embedding.shape as [number, number];
  const steps = inputs.rates.shape[0] ?? 0;
  const expected: [TensorSpec, number[]][] = [
    [inputs.gradient, [masks, width]],
    [inputs.dice, [masks]],
    [inputs.anchor, [1, width]],
    [inputs.rates, [steps, 2]],
    [inputs.embedding, [masks, width]],
    [inputs.moments, [2, masks, width]],
    [inputs.losses, [masks, steps]],
    [inputs.step, [masks]],
  ];
  for (const [spec, shape] of expected) {
    const dtype = spec === inputs.step ? "u32" : "f32";
    if (spec.dtype !== dtype) throw new DTypeError(`embeddingAdamw: ${formatSpec(spec)} is not ${dtype}`);
    if (formatShape(spec.shape) !== formatShape(shape))
      throw new ShapeError(`embeddingAdamw: ${formatSpec(spec)} is not ${formatShape(shape)}`);
  }
  return { masks, width, steps };
}
