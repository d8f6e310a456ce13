import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { maskPoolReference } from "./reference.ts";
import { rowsVariants } from "./rows.wgsl.ts";
import { type MaskPoolInputs, maskPoolShape } from "./spec.ts";

export const maskPoolOp: Op<MaskPoolInputs, null> = {
  name: "maskPool",
  infer(inputs) {
    const { masks, d } = maskPoolShape(inputs);
    return [{ shape: [masks, d], dtype: "f32" }];
  },
  variants: rowsVariants,
  reference: maskPoolReference,
  cost({ features, masks }, [y]) {
    const { tokens, d, masks: rows } = maskPoolShape({ features, masks });
    const bytes = [features.shape, masks.shape, y?.shape ?? []].reduce((sum, s) => sum + 4 * sizeOf(s), 0);
    return { flops: 2 * rows * tokens * d, bytes };
  },
};

/**
 * Mean of the tokens under each mask, weighted by it: sum_t mask[t]·features[t] / sum_t mask[t]. features [T, D] (one
 * token a patch, row by row), masks [M, H, W] with H·W = T (or [M, T]), not negative -> [M, D]. A mask whose weights
 * have no positive sum covers nothing, and gives zeros.
 */
export function maskPool(cmd: Recorder, features: Tensor, masks: Tensor): Tensor {
  return cmd.call1(maskPoolOp, { features, masks }, null);
}
