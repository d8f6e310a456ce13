import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { conv2dOp } from "./index.ts";
import { type Conv2dInputs, type Conv2dParams, conv2dShape, type Pair, pairOf } from "./spec.ts";

interface Options extends Partial<Omit<Conv2dParams, "stride" | "padding" | "dilation">> {
  readonly stride?: number | Pair;
  readonly padding?: number | Pair;
  readonly dilation?: number | Pair;
  readonly dtype?: DType;
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly benchOnly?: boolean;
}

function conv2dCase(
  name: string,
  x: Shape,
  weight: Shape,
  options: Options = {},
): OpCase<Conv2dInputs, Conv2dParams> {
  const { dtype = "f32", bias, residual, benchOnly = false, activation = "none", addFirst = false } = options;
  const params: Conv2dParams = {
    stride: pairOf(options.stride ?? 1),
    padding: pairOf(options.padding ?? 0),
    dilation: pairOf(options.dilation ?? 1),
    groups: options.groups ?? 1,
    activation,
    addFirst,
  };
  const k = weight.slice(1).reduce((a, b) => a * b, 1);
  const { n, o, oh, ow } = conv2dShape(
    { x: { shape: x, dtype: "f32" }, weight: { shape: weight, dtype } },
    params,
  );
  return {
    name: `${name} ${JSON.stringify(x)} ${JSON.stringify(weight)} ${dtype}`,
    params,
    inputs: (r) => ({
      x: r.normals(x),
      weight: r.normals(weight, { dtype, scale: 1 / Math.sqrt(k) }),
      bias: bias ? r.normals([o]) : undefined,
      residual: residual ? r.normals([n, o, oh, ow]) : undefined,
    }),
    // a sum of K products of size 1/sqrt(K): f32 rounding grows like sqrt(K)·2^-24 of a value of size 1
    tolerance: { abs: 4e-7 * Math.max(8, Math.sqrt(k)), rel: 4e-6 },
    benchOnly,
  };
}

// few combinations of fused steps, as each is another pipeline to compile for every variant
const blockEnd = { bias: true, residual: true, addFirst: true, activation: "relu" } as const;

export const conv2dSuite = suite(conv2dOp, [
  conv2dCase("single", [1, 1, 1, 1], [1, 1, 1, 1]),
  conv2dCase("odd", [1, 3, 9, 11], [5, 3, 3, 3], { padding: 1 }),
  conv2dCase("stem 7x7 s2", [1, 3, 37, 41], [35, 3, 7, 7], { stride: 2, padding: 3, bias: true }),
  conv2dCase("3x3 s2", [2, 10, 17, 15], [37, 10, 3, 3], { stride: 2, padding: 1, bias: true }),
  conv2dCase("uneven stride, padding, dilation", [2, 6, 19, 14], [9, 6, 3, 5], {
    stride: [2, 1],
    padding: [0, 3],
    dilation: [3, 2],
    activation: "quick_gelu",
    residual: true,
  }),
  conv2dCase("kernel larger than the image", [1, 2, 3, 2], [4, 2, 5, 4], { padding: [2, 1] }),
  conv2dCase("1x1", [2, 20, 8, 6], [33, 20, 1, 1], { bias: true }),
  conv2dCase("1x1 on 49 pixels", [1, 19, 7, 7], [40, 19, 1, 1], blockEnd),
  conv2dCase("1x1 s2", [1, 16, 9, 9], [24, 16, 1, 1], { stride: 2, bias: true }),
  conv2dCase("1x1 padded", [1, 5, 4, 4], [6, 5, 1, 1], { padding: 1, bias: true }),
  conv2dCase("block end", [2, 16, 8, 8], [64, 16, 1, 1], blockEnd),
  conv2dCase("patch embedding", [2, 3, 28, 42], [70, 3, 14, 14], { stride: 14, bias: true }),
  conv2dCase("patch embedding with a remainder", [1, 3, 23, 19], [9, 3, 5, 5], { stride: 5, bias: true }),
  conv2dCase("patch embedding", [1, 3, 32, 32], [40, 3, 16, 16], { stride: 16, dtype: "f16", bias: true }),
  conv2dCase("stride beyond the kernel", [1, 4, 17, 13], [8, 4, 2, 2], { stride: [3, 4], bias: true }),
  conv2dCase("groups", [2, 12, 9, 7], [18, 4, 3, 3], { groups: 3, padding: 1, bias: true }),
  conv2dCase("groups of an odd size", [1, 6, 8, 8], [70, 3, 1, 1], { groups: 2, bias: true }),
  conv2dCase("depthwise", [2, 7, 11, 9], [7, 1, 3, 3], { groups: 7, padding: 1, bias: true }),
  conv2dCase("depthwise, two outputs each", [2, 5, 10, 12], [10, 1, 5, 3], {
    groups: 5,
    stride: 2,
    bias: true,
    dtype: "f16",
  }),
  conv2dCase("3x3", [1, 8, 10, 9], [34, 8, 3, 3], { padding: 1, dtype: "f16", bias: true }),
  conv2dCase("1x1", [1, 12, 6, 6], [10, 12, 1, 1], { dtype: "f16", bias: true }),
  conv2dCase("1x1 of an odd size", [1, 5, 5, 5], [7, 5, 1, 1], { dtype: "f16", bias: true }),
  conv2dCase("ResNet stem", [1, 3, 224, 224], [64, 3, 7, 7], {
    stride: 2,
    padding: 3,
    bias: true,
    benchOnly: true,
  }),
  conv2dCase("ResNet 3x3", [1, 64, 56, 56], [64, 64, 3, 3], { padding: 1, bias: true, benchOnly: true }),
  conv2dCase("ResNet 3x3 s2", [1, 128, 56, 56], [128, 128, 3, 3], {
    stride: 2,
    padding: 1,
    bias: true,
    benchOnly: true,
  }),
  conv2dCase("ResNet 3x3", [1, 256, 14, 14], [256, 256, 3, 3], { padding: 1, bias: true, benchOnly: true }),
  conv2dCase("ResNet 1x1", [1, 256, 56, 56], [64, 256, 1, 1], { bias: true, benchOnly: true }),
  conv2dCase("ResNet 1x1", [1, 64, 56, 56], [256, 64, 1, 1], {
    bias: true,
    residual: true,
    addFirst: true,
    benchOnly: true,
  }),
  conv2dCase("CLIP patch embedding", [1, 3, 336, 336], [1024, 3, 14, 14], { stride: 14, benchOnly: true }),
]);
