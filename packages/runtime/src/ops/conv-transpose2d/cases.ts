import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { type Pair, pairOf } from "../conv2d/spec.ts";
import { convTranspose2dOp } from "./index.ts";
import type { ConvTranspose2dInputs, ConvTranspose2dParams } from "./spec.ts";

interface Options
  extends Partial<Record<"stride" | "padding" | "outputPadding" | "dilation", number | Pair>>,
    Partial<Pick<ConvTranspose2dParams, "groups" | "activation">> {
  readonly dtype?: DType;
  readonly bias?: boolean;
  readonly benchOnly?: boolean;
}

function convTransposeCase(
  name: string,
  x: Shape,
  weight: Shape,
  options: Options = {},
): OpCase<ConvTranspose2dInputs, ConvTranspose2dParams> {
  const { dtype = "f32", bias, benchOnly = false, groups = 1, activation = "none" } = options;
  const [c, og, kh, kw] = weight as [number, number, number, number];
  // products in one output at most: every tap meets it
  const k = (c / groups) * kh * kw;
  return {
    name: `${name} ${JSON.stringify(x)} ${JSON.stringify(weight)} ${dtype}`,
    params: {
      stride: pairOf(options.stride ?? 1),
      padding: pairOf(options.padding ?? 0),
      outputPadding: pairOf(options.outputPadding ?? 0),
      dilation: pairOf(options.dilation ?? 1),
      groups,
      activation,
    },
    inputs: (r) => ({
      x: r.normals(x),
      weight: r.normals(weight, { dtype, scale: 1 / Math.sqrt(k) }),
      bias: bias ? r.normals([og * groups]) : undefined,
    }),
    // a sum of up to K products of size 1/sqrt(K): f32 rounding grows like sqrt(K)·2^-24 of a value of size 1
    tolerance: { abs: 4e-7 * Math.max(8, Math.sqrt(k)), rel: 4e-6 },
    benchOnly,
  };
}

export const convTranspose2dSuite = suite(convTranspose2dOp, [
  convTransposeCase("single", [1, 1, 1, 1], [1, 1, 1, 1], { bias: true }),
  convTransposeCase("SAM 2x2 s2", [2, 12, 6, 8], [12, 9, 2, 2], { stride: 2, activation: "gelu" }),
  convTransposeCase("2x2 s2 of an odd size", [2, 7, 5, 3], [7, 5, 2, 2], { stride: 2, bias: true }),
  convTransposeCase("3x2 s3,2 in groups", [2, 8, 5, 4], [8, 3, 3, 2], {
    stride: [3, 2],
    groups: 2,
    bias: true,
    dtype: "f16",
  }),
  convTransposeCase("3x3 s2 p1 op1", [1, 6, 7, 5], [6, 10, 3, 3], {
    stride: 2,
    padding: 1,
    outputPadding: 1,
    bias: true,
  }),
  convTransposeCase("uneven", [2, 4, 5, 6], [4, 3, 3, 4], {
    stride: [1, 3],
    padding: [2, 1],
    outputPadding: [1, 2],
    dilation: [2, 1],
    groups: 2,
    bias: true,
    dtype: "f16",
  }),
  convTransposeCase("stride beyond the kernel", [1, 3, 4, 4], [3, 4, 2, 2], { stride: 3, bias: true }),
  convTransposeCase("SAM upscaling, first", [1, 256, 64, 64], [256, 64, 2, 2], {
    stride: 2,
    bias: true,
    benchOnly: true,
  }),
  convTransposeCase("SAM upscaling, second", [1, 64, 128, 128], [64, 32, 2, 2], {
    stride: 2,
    bias: true,
    activation: "gelu",
    benchOnly: true,
  }),
]);
