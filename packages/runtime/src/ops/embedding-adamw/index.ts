import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { maskVariant } from "./mask.wgsl.ts";
import { embeddingAdamwReference } from "./reference.ts";
import { type EmbeddingAdamwInputs, type EmbeddingAdamwParams, embeddingAdamwShape } from "./spec.ts";

export type { EmbeddingAdamwParams } from "./spec.ts";

export const embeddingAdamwOp: Op<EmbeddingAdamwInputs, EmbeddingAdamwParams> = {
  name: "embedding-adamw",
  mutates: ["embedding", "moments", "losses", "step"],
  infer(inputs) {
    embeddingAdamwShape(inputs);
    return [];
  },
  variants: [maskVariant],
  reference: embeddingAdamwReference,
  cost(inputs) {
    const { masks, width } = embeddingAdamwShape(inputs);
    return { flops: 30 * masks * width, bytes: 28 * masks * width };
  },
};

/**
 * One step of AdamW (Loshchilov and Hutter 2019, as torch computes it) on embeddings of which the loss sees the direction
 * only: dLoss/dt = (I - t^ t^ᵀ) / |t| · (gradient + alpha term). Which step it is, is read on the GPU, so that the same
 * program makes every step.
 */
export function embeddingAdamw(
  cmd: Recorder,
  tensors: { readonly [K in keyof EmbeddingAdamwInputs]: Tensor },
  params: EmbeddingAdamwParams,
): void {
  cmd.call(embeddingAdamwOp, tensors, params);
}

/**
 * `rates` for `embeddingAdamw`: by step k = 1 .., lr / (1 - beta1^k) and 1 / sqrt(1 - beta2^k), in f64 on the host, as
 * 1 - beta2^k has few digits in f32. [steps, 2]
 */
export function adamwRates(steps: number, lr: number, beta1: number, beta2: number): Float32Array {
  return Float32Array.from({ length: 2 * steps }, (_, i) => {
    const k = Math.floor(i / 2) + 1;
    return i % 2 === 0 ? lr / (1 - beta1 ** k) : 1 / Math.sqrt(1 - beta2 ** k);
  });
}
