import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, sizeOf, type Tensor } from "../../tensor.ts";
import { groupsVariant } from "./groups.wgsl.ts";
import { type DequantizeInputs, type DequantizeParams, quantizedDType } from "./spec.ts";

export const dequantizeOp: Op<DequantizeInputs, DequantizeParams> = {
  name: "dequantize",
  infer({ x }) {
    quantizedDType(x);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  variants: [groupsVariant],
  reference: ({ x }) => [hostResult(x.shape, x.data)],
  cost: ({ x }) => ({ flops: 2 * sizeOf(x.shape), bytes: dataBytes(x) + 4 * sizeOf(x.shape) }),
};

/** Quantised weights [.., K] as f32. */
export function dequantize(cmd: Recorder, x: Tensor): Tensor {
  return cmd.call1(dequantizeOp, { x }, {});
}
