import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { type Pair, pairOf } from "../conv2d/spec.ts";
import { gatherVariant } from "./gather.wgsl.ts";
import { adaptiveAvgPool2dReference } from "./reference.ts";
import {
  type AdaptiveAvgPool2dInputs,
  type AdaptiveAvgPool2dParams,
  adaptiveAvgPool2dShape,
} from "./spec.ts";

export const adaptiveAvgPool2dOp: Op<AdaptiveAvgPool2dInputs, AdaptiveAvgPool2dParams> = {
  name: "adaptiveAvgPool2d",
  infer({ x }, params) {
    const { oh, ow } = adaptiveAvgPool2dShape({ x }, params);
    return [{ shape: [...x.shape.slice(0, 2), oh, ow], dtype: "f32" }];
  },
  variants: [gatherVariant],
  reference: adaptiveAvgPool2dReference,
  cost({ x }, [y]) {
    return { flops: sizeOf(x.shape), bytes: 4 * (sizeOf(x.shape) + sizeOf(y?.shape ?? [])) };
  },
};

/**
 * Mean over bins [floor(i·H/oh), ceil((i+1)·H/oh)), as torch.nn.functional.adaptive_avg_pool2d: bins overlap where the
 * sizes do not divide. x [N, C, H, W] f32 -> [N, C, oh, ow].
 */
export function adaptiveAvgPool2d(cmd: Recorder, x: Tensor, outputSize: number | Pair): Tensor {
  return cmd.call1(adaptiveAvgPool2dOp, { x }, { outputSize: pairOf(outputSize) });
}
