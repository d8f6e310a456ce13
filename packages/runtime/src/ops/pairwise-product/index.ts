import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { flatVariants } from "./flat.wgsl.ts";
import { type PairwiseProductInputs, pairwiseProductShape } from "./spec.ts";

export const pairwiseProductOp: Op<PairwiseProductInputs, Record<string, never>> = {
  name: "pairwise-product",
  infer(inputs) {
    const { m, n, f } = pairwiseProductShape(inputs);
    return [{ shape: [m, n, f], dtype: "f32" }];
  },
  variants: flatVariants,
  reference(inputs) {
    const { m, n, f } = pairwiseProductShape(inputs);
    const { a, b } = inputs;
    const out = Float64Array.from({ length: m * n * f }, (_, i) => {
      const row = Math.floor(i / f);
      return (
        (a.data[(row % n) * f + (i % f)] as number) * (b.data[Math.floor(row / n) * f + (i % f)] as number)
      );
    });
    return [hostResult([m, n, f], out)];
  },
  cost(inputs) {
    const { m, n, f } = pairwiseProductShape(inputs);
    return { flops: m * n * f, bytes: 4 * (m * n * f + n * f + m * f) };
  },
};

/** Every row of `a` times every row of `b`, elementwise. a [N, F], b [M, F] -> [M, N, F]. */
export function pairwiseProduct(cmd: Recorder, a: Tensor, b: Tensor): Tensor {
  return cmd.call1(pairwiseProductOp, { a, b }, {});
}
