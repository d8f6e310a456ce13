import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { type Pair, pairOf } from "../conv2d/spec.ts";
import { gatherVariant } from "./gather.wgsl.ts";
import { maxPool2dReference } from "./reference.ts";
import { type MaxPool2dInputs, type MaxPool2dParams, maxPool2dShape } from "./spec.ts";

export const maxPool2dOp: Op<MaxPool2dInputs, MaxPool2dParams> = {
  name: "maxPool2d",
  infer({ x }, params) {
    const { oh, ow } = maxPool2dShape({ x }, params);
    return [{ shape: [...x.shape.slice(0, 2), oh, ow], dtype: "f32" }];
  },
  variants: [gatherVariant],
  reference: maxPool2dReference,
  cost({ x }, [y], { kernel }) {
    const n = sizeOf(y?.shape ?? []);
    return { flops: n * kernel[0] * kernel[1], bytes: 4 * (sizeOf(x.shape) + n) };
  },
};

export interface MaxPool2dOptions {
  /** Default: the kernel. A number stands for both directions, here and below; a pair is [vertical, horizontal]. */
  readonly stride?: number | Pair;
  /** -inf on each side, at most half the kernel; default 0. */
  readonly padding?: number | Pair;
  /** Default 1. */
  readonly dilation?: number | Pair;
}

/** As torch.nn.functional.max_pool2d (ceil_mode off). x [N, C, H, W] f32 -> [N, C, oh, ow]. */
export function maxPool2d(
  cmd: Recorder,
  x: Tensor,
  kernel: number | Pair,
  options: MaxPool2dOptions = {},
): Tensor {
  return cmd.call1(
    maxPool2dOp,
    { x },
    {
      kernel: pairOf(kernel),
      stride: pairOf(options.stride ?? kernel),
      padding: pairOf(options.padding ?? 0),
      dilation: pairOf(options.dilation ?? 1),
    },
  );
}
