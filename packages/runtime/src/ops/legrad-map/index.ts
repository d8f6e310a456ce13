import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { legradMapReference } from "./reference.ts";
import { type LegradMapInputs, type LegradMapParams, legradMapShape, signsShape } from "./spec.ts";
import { subgroupVariant } from "./subgroup.wgsl.ts";
import { tiledVariant } from "./tiled.wgsl.ts";

export const legradMapOp: Op<LegradMapInputs, LegradMapParams> = {
  name: "legrad-map",
  infer(inputs, params) {
    const shape = legradMapShape(inputs, params);
    return [
      { shape: [shape.masks, shape.tokens], dtype: "f32" },
      { shape: signsShape(shape), dtype: "u32" },
    ];
  },
  variants: [subgroupVariant, tiledVariant],
  reference: legradMapReference,
  cost(inputs, _, params) {
    const { masks, tokens, heads, size, blocks } = legradMapShape(inputs, params);
    const words = masks * heads * blocks * tokens;
    return {
      flops: 2 * masks * tokens * tokens * heads * size,
      bytes: 4 * ((masks + 1) * tokens * heads * size + words + masks * tokens),
    };
  },
};

export interface LegradMap {
  /** [M, N]: 1/(HN) · sum over h, n of max(0, ds/dA_h[n, j]). */
  readonly relevance: Tensor;
  /** u32 [M, H, ceil(N/32), N]: where ds/dA is positive, a bit a row, for `signWeightedValue`. */
  readonly signs: Tensor;
}

/**
 * LeGrad's map (Bousselham et al. 2024, arXiv 2404.03214) of each mask: ds/dA_h[n, j] = ds/do_h[n] · V_h[j] is formed in
 * tiles, its positive part summed over rows and heads. No [N, N] matrix is in memory, but for a bit an element.
 * gradient [M, N, H·d], values [N, H·d].
 */
export function legradMap(cmd: Recorder, gradient: Tensor, values: Tensor, heads: number): LegradMap {
  const [relevance, signs] = cmd.call(legradMapOp, { gradient, values }, { heads }) as [Tensor, Tensor];
  return { relevance, signs };
}
