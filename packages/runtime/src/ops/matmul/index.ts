import type { Activation } from "../../activation.ts";
import { DTypeError } from "../../errors.ts";
import type { Op } from "../../op.ts";
import { isQuantized } from "../../quantized.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, formatSpec, type Tensor } from "../../tensor.ts";
import { quantized } from "../quantize/index.ts";
import { isInteger } from "./integer-dispatches.ts";
import { integerMatvecVariant } from "./integer-matvec.wgsl.ts";
import { integerTiledVariant } from "./integer-tiled.wgsl.ts";
import { matvecVariants } from "./matvec.wgsl.ts";
import { quantizedMatvecVariant } from "./quantized-matvec.wgsl.ts";
import { quantizedSubgroupVariants } from "./quantized-subgroup.wgsl.ts";
import { quantizedTiledVariants } from "./quantized-tiled.wgsl.ts";
import { matmulReference } from "./reference.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { subgroupVariants } from "./subgroup.wgsl.ts";
import { tiledVariants } from "./tiled.wgsl.ts";

export const matmulOp: Op<MatmulInputs, MatmulParams> = {
  name: "matmul",
  infer(inputs, params) {
    const { a, b, bias, residual } = inputs;
    const { n, batchedB } = matmulShape(inputs, params);
    const known =
      a.dtype === "f32" ? ["f32", "f16"].includes(b.dtype) || isQuantized(b.dtype) : isInteger(inputs);
    if (!known || [bias, residual].some((t) => t && t.dtype !== "f32")) {
      throw new DTypeError(
        `matmul: ${formatSpec(a)} x ${formatSpec(b)}: takes f32 by f32, f16 or a quantised dtype, or q8_0 by a quantised dtype`,
      );
    }
    if (isQuantized(b.dtype) && (batchedB || !params.transposeB))
      throw new DTypeError(`matmul: ${formatSpec(b)}: quantised weights are one matrix [N, K], transposed`);
    return [{ shape: [...a.shape.slice(0, -1), n], dtype: "f32" }];
  },
  variants: [
    ...matvecVariants,
    ...subgroupVariants,
    ...tiledVariants,
    ...quantizedSubgroupVariants,
    quantizedMatvecVariant,
    ...quantizedTiledVariants,
    integerMatvecVariant,
    integerTiledVariant,
  ],
  reference: matmulReference,
  cost(inputs, [y], params) {
    const { batch, m, n, k } = matmulShape(inputs, params);
    const { a, b, bias, residual } = inputs;
    const bytes = [a, b, bias, residual, y].reduce((sum, t) => sum + (t ? dataBytes(t) : 0), 0);
    return { flops: 2 * batch * m * n * k, bytes };
  },
};

export interface LinearOptions {
  readonly bias?: Tensor | undefined;
  readonly activation?: Activation;
  readonly residual?: Tensor | undefined;
  readonly scale?: number;
  /**
   * Multiply as integers: x is quantised to q8_0 first, which costs accuracy (bench/notes/quantised.md says how much). For
   * quantised weights; default false.
   */
  readonly integer?: boolean;
}

/** y = activation(scale · x Wᵀ + bias) + residual. x [.., K], weight [N, K] (f32, f16 or quantised) -> [.., N]. */
export function linear(cmd: Recorder, x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias, residual, activation = "none", scale = 1, integer = false } = options;
  const a = integer ? quantized(cmd, x, "q8_0") : x;
  return cmd.call1(matmulOp, { a, b: weight, bias, residual }, { transposeB: true, activation, scale });
}

/** Batched product. a [.., M, K], b [.., K, N], or [.., N, K] with `transposeB` -> [.., M, N]. */
export function matmul(
  cmd: Recorder,
  a: Tensor,
  b: Tensor,
  options: { transposeB?: boolean; scale?: number } = {},
): Tensor {
  const { transposeB = false, scale = 1 } = options;
  return cmd.call1(
    matmulOp,
    { a, b, bias: undefined, residual: undefined },
    { transposeB, activation: "none", scale },
  );
}
