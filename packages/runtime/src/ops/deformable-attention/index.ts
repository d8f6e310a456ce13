import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import type { Pair } from "../conv2d/spec.ts";
import { gatherVariants } from "./gather.wgsl.ts";
import { deformableAttentionReference } from "./reference.ts";
import {
  type DeformableAttentionInputs,
  type DeformableAttentionParams,
  deformableAttentionShape,
} from "./spec.ts";

export const deformableAttentionOp: Op<DeformableAttentionInputs, DeformableAttentionParams> = {
  name: "deformableAttention",
  infer(inputs, params) {
    const { b, q, heads, d } = deformableAttentionShape(inputs, params);
    return [{ shape: [b, q, heads * d], dtype: "f32" }];
  },
  variants: gatherVariants,
  reference: deformableAttentionReference,
  cost(inputs, [y], params) {
    const { points } = deformableAttentionShape(inputs, params);
    const n = sizeOf(y?.shape ?? []);
    const { value, locations, weights } = inputs;
    return {
      flops: 8 * n * params.levels.length * points,
      bytes: 4 * (n + [value, locations, weights].reduce((sum, t) => sum + sizeOf(t.shape), 0)),
    };
  },
};

export interface DeformableAttentionOptions {
  /** [h, w] of each level, in the order of `value`. */
  readonly levels: readonly Pair[];
  /** `weights` are logits, softmaxed here over levels and points. Default false: they are used as they are. */
  readonly softmax?: boolean;
}

/**
 * Multi-scale deformable attention (Zhu et al. 2021): samples `value` [B, S, heads, D] bilinearly at `locations`
 * [B, Q, heads, levels, points, (x, y)], 0 to 1 over each level with zeros outside (grid_sample, align_corners off), and
 * adds the samples up by `weights` [B, Q, heads, levels·points] -> [B, Q, heads·D].
 */
export function deformableAttention(
  cmd: Recorder,
  inputs: { readonly value: Tensor; readonly locations: Tensor; readonly weights: Tensor },
  options: DeformableAttentionOptions,
): Tensor {
  const { levels, softmax = false } = options;
  return cmd.call1(deformableAttentionOp, inputs, { levels, softmax });
}
