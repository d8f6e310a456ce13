import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { signWeightedValueReference } from "./reference.ts";
import { type SignWeightedValueInputs, signWeightedValueShape } from "./spec.ts";
import { subgroupVariant } from "./subgroup.wgsl.ts";
import { tiledVariant } from "./tiled.wgsl.ts";

export const signWeightedValueOp: Op<SignWeightedValueInputs, Record<string, never>> = {
  name: "sign-weighted-value",
  infer(inputs) {
    const { masks, tokens, heads, size } = signWeightedValueShape(inputs);
    return [{ shape: [masks, tokens, heads * size], dtype: "f32" }];
  },
  variants: [subgroupVariant, tiledVariant],
  reference: signWeightedValueReference,
  cost(inputs) {
    const { masks, tokens, heads, size, blocks } = signWeightedValueShape(inputs);
    return {
      flops: 2 * masks * tokens * tokens * heads * size,
      bytes: 4 * ((masks + 1) * tokens * heads * size + masks * heads * blocks * tokens),
    };
  },
};

/**
 * The change of each head's output along dA_h[n, j] = R[j] · [ds/dA_h[n, j] > 0] / (HN): sum over j of dA_h[n, j] V_h[j].
 * signs u32 [M, H, ceil(N/32), N] of `legradMap`, weights R [M, N], values [N, H·d] -> [M, N, H·d].
 */
export function signWeightedValue(cmd: Recorder, signs: Tensor, weights: Tensor, values: Tensor): Tensor {
  return cmd.call1(signWeightedValueOp, { signs, weights, values }, {});
}
