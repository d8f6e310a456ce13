import type { Activation } from "../../activation.ts";
import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

/** [vertical, horizontal]. */
export type Pair = readonly [number, number];

export interface Conv2dInputs {
  /** [N, C, H, W]. f32. */
  readonly x: TensorSpec;
  /** [O, C / groups, kh, kw]. f32, f16. */
  readonly weight: TensorSpec;
  /** [O]. f32. */
  readonly bias?: TensorSpec | undefined;
  /** [N, O, oh, ow], added to the result. f32. */
  readonly residual?: TensorSpec | undefined;
}

/** As in torch.nn.functional.conv2d; padding is with zeros, the same on both sides. */
export interface Conv2dParams {
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
  readonly groups: number;
  readonly activation: Activation;
  /** The residual is added before the activation (as a ResNet block does) rather than behind it. */
  readonly addFirst: boolean;
}

/** All the sizes of a convolution. */
export interface Conv2dShape {
  readonly n: number;
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly o: number;
  readonly kh: number;
  readonly kw: number;
  readonly oh: number;
  readonly ow: number;
  readonly groups: number;
  /** Input channels a group. */
  readonly cg: number;
  /** Output channels a group. */
  readonly og: number;
}

/** A number stands for both directions. */
export function pairOf(value: number | Pair): Pair {
  return typeof value === "number" ? [value, value] : value;
}

/** Throws unless every one of `values` is an integer of at least `least`. */
export function checkPair(op: string, name: string, values: Pair, least: number): void {
  if (values.length !== 2 || values.some((v) => !Number.isInteger(v) || v < least))
    throw new ShapeError(`${op}: ${name} [${values.join(", ")}] takes two integers of at least ${least}`);
}

/** Output size of a window that slides along one axis. */
export function slidingSize(
  size: number,
  kernel: number,
  stride: number,
  padding: number,
  dilation: number,
): number {
  return Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** Throws unless all of a convolution's tensors are floats of the dtypes that the kernels read. */
export function checkConvDtypes(op: string, inputs: Conv2dInputs): void {
  const { x, weight, bias, residual } = inputs;
  const floats =
    [x, bias, residual].every((t) => !t || t.dtype === "f32") && ["f32", "f16"].includes(weight.dtype);
  if (!floats)
    throw new DTypeError(
      `${op}: ${formatSpec(x)} * ${formatSpec(weight)}: takes f32 with f32 or f16 weights`,
    );
}

/** Throws ShapeError where the tensors and parameters do not fit together. */
export function conv2dShape({ x, weight, bias, residual }: Conv2dInputs, params: Conv2dParams): Conv2dShape {
  const { stride, padding, dilation, groups } = params;
  const fail = (why: string): never => {
    throw new ShapeError(`conv2d: ${formatSpec(x)} * ${formatSpec(weight)}: ${why}`);
  };
  if (x.shape.length !== 4 || weight.shape.length !== 4)
    return fail("takes [N, C, H, W] * [O, C/groups, kh, kw]");
  checkPair("conv2d", "stride", stride, 1);
  checkPair("conv2d", "padding", padding, 0);
  checkPair("conv2d", "dilation", dilation, 1);
  const [n, c, h, w] = x.shape as [number, number, number, number];
  const [o, cg, kh, kw] = weight.shape as [number, number, number, number];
  if (!Number.isInteger(groups) || groups < 1 || c % groups || o % groups || cg !== c / groups)
    return fail(`${c} input and ${o} output channels do not divide into ${groups} groups of ${cg}`);
  const oh = slidingSize(h, kh, stride[0], padding[0], dilation[0]);
  const ow = slidingSize(w, kw, stride[1], padding[1], dilation[1]);
  if (![n, c, o, kh, kw, oh, ow].every((d) => d >= 1))
    return fail(`stride ${stride}, padding ${padding}, dilation ${dilation} leave no output (${oh} x ${ow})`);
  if (bias && formatShape(bias.shape) !== formatShape([o]))
    return fail(`bias ${formatShape(bias.shape)} is not [${o}]`);
  if (residual && formatShape(residual.shape) !== formatShape([n, o, oh, ow]))
    return fail(`residual ${formatShape(residual.shape)} is not ${formatShape([n, o, oh, ow])}`);
  return { n, c, h, w, o, kh, kw, oh, ow, groups, cg, og: o / groups };
}
