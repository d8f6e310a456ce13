import type { Activation } from "../../activation.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, sizeOf, type Tensor } from "../../tensor.ts";
import { depthwiseVariants } from "./depthwise.wgsl.ts";
import { conv2dReference } from "./reference.ts";
import {
  type Conv2dInputs,
  type Conv2dParams,
  checkConvDtypes,
  conv2dShape,
  type Pair,
  pairOf,
} from "./spec.ts";
import { subgroupVariants } from "./subgroup.wgsl.ts";
import { tiledVariants } from "./tiled.wgsl.ts";

export const conv2dOp: Op<Conv2dInputs, Conv2dParams> = {
  name: "conv2d",
  infer(inputs, params) {
    checkConvDtypes("conv2d", inputs);
    const { n, o, oh, ow } = conv2dShape(inputs, params);
    return [{ shape: [n, o, oh, ow], dtype: "f32" }];
  },
  variants: [...depthwiseVariants, ...subgroupVariants, ...tiledVariants],
  reference: conv2dReference,
  cost(inputs, [y], params) {
    const { n, o, oh, ow, cg, kh, kw } = conv2dShape(inputs, params);
    const { x, weight, bias, residual } = inputs;
    const bytes = [x, weight, bias, residual, y].reduce(
      (sum, t) => sum + (t ? sizeOf(t.shape) * bytesPerElement(t.dtype) : 0),
      0,
    );
    return { flops: 2 * n * o * oh * ow * cg * kh * kw, bytes };
  },
};

export interface Conv2dOptions {
  /** [O]. */
  readonly bias?: Tensor | undefined;
  /** Default 1. A number stands for both directions, here and below; a pair is [vertical, horizontal]. */
  readonly stride?: number | Pair;
  /** Zeros on each side; default 0. */
  readonly padding?: number | Pair;
  /** Default 1. */
  readonly dilation?: number | Pair;
  /** Default 1. */
  readonly groups?: number;
  readonly activation?: Activation;
  /** [N, O, oh, ow]. */
  readonly residual?: Tensor | undefined;
  /** Add the residual before the activation, as a ResNet block does; default: behind it. */
  readonly addFirst?: boolean;
}

/**
 * y = activation(x * weight + bias) + residual, as torch.nn.functional.conv2d. x [N, C, H, W] f32, weight
 * [O, C/groups, kh, kw] f32 or f16 -> [N, O, oh, ow]. A batch larger than a binding is walked in windows of images; one
 * image must fit.
 */
export function conv2d(cmd: Recorder, x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  const { bias, residual, groups = 1, activation = "none", addFirst = false } = options;
  return cmd.call1(
    conv2dOp,
    { x, weight, bias, residual },
    {
      stride: pairOf(options.stride ?? 1),
      padding: pairOf(options.padding ?? 0),
      dilation: pairOf(options.dilation ?? 1),
      groups,
      activation,
      addFirst,
    },
  );
}
