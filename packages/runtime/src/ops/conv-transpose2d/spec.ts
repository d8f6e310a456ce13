import type { Activation } from "../../activation.ts";
import { ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";
import { type Conv2dShape, checkPair, type Pair } from "../conv2d/spec.ts";

export interface ConvTranspose2dInputs {
  /** [N, C, H, W]. f32. */
  readonly x: TensorSpec;
  /** [C, O / groups, kh, kw]. f32, f16. */
  readonly weight: TensorSpec;
  /** [O]. f32. */
  readonly bias?: TensorSpec | undefined;
}

/** As in torch.nn.functional.conv_transpose2d. */
export interface ConvTranspose2dParams {
  readonly stride: Pair;
  readonly padding: Pair;
  /** Rows and columns more at the end; less than the stride or the dilation. */
  readonly outputPadding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
  readonly activation: Activation;
}

/** Throws ShapeError where the tensors and parameters do not fit together. */
export function convTranspose2dShape(
  { x, weight, bias }: ConvTranspose2dInputs,
  { stride, padding, outputPadding, dilation, groups }: ConvTranspose2dParams,
): Conv2dShape {
  const fail = (why: string): never => {
    throw new ShapeError(`convTranspose2d: ${formatSpec(x)} * ${formatSpec(weight)}: ${why}`);
  };
  if (x.shape.length !== 4 || weight.shape.length !== 4)
    return fail("takes [N, C, H, W] * [C, O/groups, kh, kw]");
  checkPair("convTranspose2d", "stride", stride, 1);
  checkPair("convTranspose2d", "padding", padding, 0);
  checkPair("convTranspose2d", "outputPadding", outputPadding, 0);
  checkPair("convTranspose2d", "dilation", dilation, 1);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const [cw, og, kh, kw] = weight.shape as [number, number, number, number];
  if (!Number.isInteger(groups) || groups < 1 || c % groups || cw !== c)
    return fail(`${c} input channels do not divide into ${groups} groups of weights of ${cw}`);
  for (const axis of [0, 1] as const) {
    if (outputPadding[axis] >= Math.max(stride[axis], dilation[axis]))
      return fail(
        `outputPadding [${outputPadding}] is not less than stride [${stride}] or dilation [${dilation}]`,
      );
  }
  const size = (length: number, kernel: number, axis: 0 | 1) =>
    (length - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * (kernel - 1) + outputPadding[axis] + 1;
  const oh = size(h, kh, 0);
  const ow = size(w, kw, 1);
  const o = og * groups;
  if (![n, c, h, w, o, kh, kw, oh, ow].every((d) => d >= 1))
    return fail(`stride ${stride} and padding ${padding} leave no output (${oh} x ${ow})`);
  if (bias && formatShape(bias.shape) !== formatShape([o]))
    return fail(`bias ${formatShape(bias.shape)} is not [${o}]`);
  return { n, c, h, w, o, kh, kw, oh, ow, groups, cg: c / groups, og };
}
