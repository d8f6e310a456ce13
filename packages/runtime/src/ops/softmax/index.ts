import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { lanesVariant } from "./lanes.wgsl.ts";
import { softmaxReference } from "./reference.ts";
import { type SoftmaxInputs, softmaxShape } from "./spec.ts";
import { rowVariant, teamVariant } from "./variants.wgsl.ts";

export const softmaxOp: Op<SoftmaxInputs, Record<string, never>> = {
  name: "softmax",
  infer(inputs) {
    softmaxShape(inputs);
    return [{ shape: inputs.x.shape, dtype: "f32" }];
  },
  variants: [rowVariant, lanesVariant, teamVariant],
  reference: softmaxReference,
  cost({ x }) {
    const n = sizeOf(x.shape);
    return { flops: 5 * n, bytes: 8 * n };
  },
};

/**
 * exp(x) / sum(exp(x)) along the last axis, of any width. x [.., width] f32 -> the same shape. Elements at most -1e30
 * (-Infinity among them) get 0; a row of nothing else gives zeros (PyTorch: NaN).
 */
export function softmax(cmd: Recorder, x: Tensor): Tensor {
  return cmd.call1(softmaxOp, { x }, {});
}
