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
  /** `weights` are logits, softmaxed here over levels and points. Default false: they are used as they are. */
  readonly softmax?: boolean;
}

/**
 * Multi-scale deformable attention (Zhu et al. 2021): samples `value` [B, S, heads, D] bilinearly at `locations`
 * [B, Q, heads, levels, points, (x, y)], 0 to 1 over each level with zeros outside (grid_sample, align_corners off), and
 * adds the samples up by `weights` [B, Q, heads, levels·points] -> [B, Q, heads·D]. `levels` are the levels' [h, w] in
 * the order in which `value` holds their pixels.
 */
export function deformableAttention(
  cmd: Recorder,
  value: Tensor,
  locations: Tensor,
  weights: Tensor,
  levels: readonly Pair[],
  { softmax = false }: DeformableAttentionOptions = {},
): Tensor {
  return cmd.call1(deformableAttentionOp, { value, locations, weights }, { levels, softmax });
}
