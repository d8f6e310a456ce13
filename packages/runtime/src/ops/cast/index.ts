import { roundToFloat16 } from "../../float16.ts";
import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, type DType, sizeOf, type Tensor } from "../../tensor.ts";
import { flatVariant } from "./flat.wgsl.ts";
import { type CastInputs, type CastParams, checkCast } from "./spec.ts";

export const castOp: Op<CastInputs, CastParams> = {
  name: "cast",
  infer({ x }, { to }) {
    checkCast(x, to);
    return [{ shape: x.shape, dtype: to }];
  },
  variants: [flatVariant],
  reference: ({ x }, { to }) => [
    hostResult(x.shape, to === "f16" ? x.data.map(roundToFloat16) : x.data.map(Math.fround), to),
  ],
  cost: ({ x }, _, { to }) => ({
    flops: 0,
    bytes: sizeOf(x.shape) * (bytesPerElement(x.dtype) + bytesPerElement(to)),
  }),
};

/** Another dtype: f32 to f16 storage (to nearest even), or f16, i32, u32 to f32. */
export function cast(cmd: Recorder, x: Tensor, to: DType): Tensor {
  return cmd.call1(castOp, { x }, { to });
}
