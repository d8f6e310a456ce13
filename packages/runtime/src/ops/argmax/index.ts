import { DTypeError, ShapeError } from "../../errors.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { rowVariant, splitVariant } from "./rows.wgsl.ts";
import type { ArgmaxInputs, ArgmaxParams } from "./spec.ts";

function argmaxReference({ x }: { x: HostTensor }): HostTensor[] {
  const width = x.shape.at(-1) as number;
  const out = new Float64Array(x.data.length / width);
  for (let row = 0; row < out.length; row++) {
    let best = 0;
    for (let i = 1; i < width; i++) {
      const [a, b] = [x.data[row * width + best] as number, x.data[row * width + i] as number];
      if (b > a || (Number.isNaN(b) && !Number.isNaN(a))) best = i;
    }
    out[row] = best;
  }
  return [hostResult(x.shape.slice(0, -1), out, "u32")];
}

export const argmaxOp: Op<ArgmaxInputs, ArgmaxParams> = {
  name: "argmax",
  infer({ x }) {
    if (x.dtype !== "f32") throw new DTypeError(`argmax: x is ${formatSpec(x)}; takes f32`);
    if (!x.shape.at(-1)) throw new ShapeError(`argmax: ${formatSpec(x)} has no values along its last axis`);
    return [{ shape: x.shape.slice(0, -1), dtype: "u32" }];
  },
  variants: [splitVariant, rowVariant],
  reference: argmaxReference,
  cost: ({ x }) => ({ flops: sizeOf(x.shape), bytes: 4 * sizeOf(x.shape) }),
};

/**
 * Index of the largest value along the last axis: the lowest of equal ones, and that of the first NaN where there is
 * one, as torch.argmax. x [.., V] f32 -> u32 [..].
 */
export function argmax(cmd: Recorder, x: Tensor): Tensor {
  return cmd.call1(argmaxOp, { x }, {});
}
