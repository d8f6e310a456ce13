import { DTypeError, ShapeError } from "../../errors.ts";
import { formatSpec, type TensorSpec } from "../../tensor.ts";
import { checkPair, type Pair, slidingSize } from "../conv2d/spec.ts";

export interface MaxPool2dInputs {
  /** [N, C, H, W]. f32. */
  readonly x: TensorSpec;
}

/** As torch.nn.functional.max_pool2d with ceil_mode off; the padding is -inf. */
export interface MaxPool2dParams {
  readonly kernel: Pair;
  readonly stride: Pair;
  /** At most half the kernel, so that every window has a pixel. */
  readonly padding: Pair;
  readonly dilation: Pair;
}

export interface PlanesShape {
  /** N · C. */
  readonly planes: number;
  readonly h: number;
  readonly w: number;
  readonly oh: number;
  readonly ow: number;
}

/** Throws ShapeError or DTypeError unless `x` is f32 [N, C, H, W] with data. */
export function checkImage(op: string, x: TensorSpec): readonly [number, number, number, number] {
  if (x.dtype !== "f32") throw new DTypeError(`${op}: takes f32, found ${formatSpec(x)}`);
  if (x.shape.length !== 4 || x.shape.some((d) => d < 1))
    throw new ShapeError(`${op}: takes [N, C, H, W] with data, found ${formatSpec(x)}`);
  return x.shape as readonly [number, number, number, number];
}

export function maxPool2dShape({ x }: MaxPool2dInputs, params: MaxPool2dParams): PlanesShape {
  const { kernel, stride, padding, dilation } = params;
  const [n, c, h, w] = checkImage("maxPool2d", x);
  checkPair("maxPool2d", "kernel", kernel, 1);
  checkPair("maxPool2d", "stride", stride, 1);
  checkPair("maxPool2d", "padding", padding, 0);
  checkPair("maxPool2d", "dilation", dilation, 1);
  if (padding[0] > kernel[0] / 2 || padding[1] > kernel[1] / 2)
    throw new ShapeError(`maxPool2d: padding [${padding}] is more than half the kernel [${kernel}]`);
  const oh = slidingSize(h, kernel[0], stride[0], padding[0], dilation[0]);
  const ow = slidingSize(w, kernel[1], stride[1], padding[1], dilation[1]);
  if (oh < 1 || ow < 1)
    throw new ShapeError(
      `maxPool2d: kernel [${kernel}] on ${formatSpec(x)} leaves no output (${oh} x ${ow})`,
    );
  return { planes: n * c, h, w, oh, ow };
}
