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
  reference: ({ x }, { to, finite }) => {
    const halved = (v: number) => roundToFloat16(finite && Number.isFinite(v) ? clampToFloat16(v) : v);
    return [hostResult(x.shape, x.data.map(to === "f16" ? halved : Math.fround), to)];
  },
  cost: ({ x }, _, { to }) => ({
    flops: 0,
    bytes: sizeOf(x.shape) * (bytesPerElement(x.dtype) + bytesPerElement(to)),
  }),
};

const largestFloat16 = 65504;
const clampToFloat16 = (v: number): number => Math.min(Math.max(v, -largestFloat16), largestFloat16);

/** Another dtype: f32 to f16 storage (to nearest even; with `finite`, never past its range), or f16, i32, u32 to f32. */
export function cast(cmd: Recorder, x: Tensor, to: DType, options: { finite?: boolean } = {}): Tensor {
  return cmd.call1(castOp, { x }, { to, ...options });
}
