import type { Activation } from "../../activation.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, sizeOf, type Tensor } from "../../tensor.ts";
import { checkConvDtypes, type Pair, pairOf } from "../conv2d/spec.ts";
import { blocksVariants } from "./blocks.wgsl.ts";
import { directVariants } from "./direct.wgsl.ts";
import { convTranspose2dReference } from "./reference.ts";
import { type ConvTranspose2dInputs, type ConvTranspose2dParams, convTranspose2dShape } from "./spec.ts";

export const convTranspose2dOp: Op<ConvTranspose2dInputs, ConvTranspose2dParams> = {
  name: "convTranspose2d",
  infer(inputs, params) {
    checkConvDtypes("convTranspose2d", inputs);
    const { n, o, oh, ow } = convTranspose2dShape(inputs, params);
    return [{ shape: [n, o, oh, ow], dtype: "f32" }];
  },
  variants: [...blocksVariants, ...directVariants],
  reference: convTranspose2dReference,
  cost(inputs, [y], params) {
    const { n, c, h, w, og, kh, kw } = convTranspose2dShape(inputs, params);
    const bytes = [inputs.x, inputs.weight, inputs.bias, y].reduce(
      (sum, t) => sum + (t ? sizeOf(t.shape) * bytesPerElement(t.dtype) : 0),
      0,
    );
    return { flops: 2 * n * c * h * w * og * kh * kw, bytes };
  },
};

export interface ConvTranspose2dOptions {
  /** [O]. */
  readonly bias?: Tensor | undefined;
  /** Default 1. A number stands for both directions, here and below; a pair is [vertical, horizontal]. */
  readonly stride?: number | Pair;
  /** Rows and columns cut from each side of the output; default 0. */
  readonly padding?: number | Pair;
  /** Rows and columns more at the output's end; default 0. */
  readonly outputPadding?: number | Pair;
  /** Default 1. */
  readonly dilation?: number | Pair;
  /** Default 1. */
  readonly groups?: number;
  readonly activation?: Activation;
}

/**
 * As torch.nn.functional.conv_transpose2d, with a fused activation. x [N, C, H, W] f32, weight [C, O/groups, kh, kw] f32
 * or f16 -> [N, O, oh, ow], oh = (H-1)·stride - 2·padding + dilation·(kh-1) + outputPadding + 1.
 */
export function convTranspose2d(
  cmd: Recorder,
  x: Tensor,
  weight: Tensor,
  options: ConvTranspose2dOptions = {},
): Tensor {
  const { bias, groups = 1, activation = "none" } = options;
  return cmd.call1(
    convTranspose2dOp,
    { x, weight, bias },
    {
      stride: pairOf(options.stride ?? 1),
      padding: pairOf(options.padding ?? 0),
      outputPadding: pairOf(options.outputPadding ?? 0),
      dilation: pairOf(options.dilation ?? 1),
      groups,
      activation,
    },
  );
}
