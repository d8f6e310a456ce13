import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { columnVariants } from "./columns.wgsl.ts";
import { type WeightedMeanInputs, weightedMeanShape } from "./spec.ts";

export const weightedMeanOp: Op<WeightedMeanInputs, Record<string, never>> = {
  name: "weighted-mean",
  infer(inputs) {
    const { m, f } = weightedMeanShape(inputs);
    return [{ shape: [m, f], dtype: "f32" }];
  },
  variants: columnVariants,
  reference(inputs) {
    const { m, n, f } = weightedMeanShape(inputs);
    const { x, weight } = inputs;
    const out = new Float64Array(m * f);
    x.data.forEach((v, i) => {
      const at = Math.floor(i / (n * f)) * f + (i % f);
      out[at] = (out[at] as number) + (v * (weight ? (weight.data[i % (n * f)] as number) : 1)) / n;
    });
    return [hostResult([m, f], out)];
  },
  cost(inputs) {
    const { m, n, f } = weightedMeanShape(inputs);
    return { flops: (inputs.weight ? 2 : 1) * m * n * f, bytes: 4 * m * n * f };
  },
};

/** Mean over the rows of each matrix of x · weight. x [M, N, F], weight [N, F] -> [M, F]. */
export function weightedMean(cmd: Recorder, x: Tensor, weight?: Tensor): Tensor {
  return cmd.call1(weightedMeanOp, { x, weight }, {});
}
