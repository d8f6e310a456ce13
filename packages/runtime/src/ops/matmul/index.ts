import type { Activation } from "../../activation.ts";
import { DTypeError } from "../../errors.ts";
import type { Op, Variant } from "../../op.ts";
import { isQuantized } from "../../quantized.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, formatSpec, type Tensor } from "../../tensor.ts";
import { cast } from "../cast/index.ts";
import { quantized } from "../quantize/index.ts";
import { isHalf } from "./dispatches.ts";
import { isFused } from "./fused.ts";
import { isInteger } from "./integer-dispatches.ts";
import { integerMatvecVariant } from "./integer-matvec.wgsl.ts";
import { integerTiledVariant } from "./integer-tiled.wgsl.ts";
import { matvecVariants } from "./matvec.wgsl.ts";
import { quantizedMatvecVariant } from "./quantized-matvec.wgsl.ts";
import { quantizedSubgroupMatvecVariant, quantizedSubgroupVariants } from "./quantized-subgroup.wgsl.ts";
import { quantizedTiledVariants } from "./quantized-tiled.wgsl.ts";
import { matmulReference } from "./reference.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { subgroupVariants } from "./subgroup.wgsl.ts";
import { subgroupMatrixVariant } from "./subgroup-matrix.wgsl.ts";
import { tiledVariants } from "./tiled.wgsl.ts";

/** The variant for products without a gain and a gate. */
function unfused(variant: Variant<MatmulInputs, MatmulParams>): Variant<MatmulInputs, MatmulParams> {
  return {
    ...variant,
    supports: (inputs, params, caps) => !isFused(inputs) && variant.supports(inputs, params, caps),
  };
}

export const matmulOp: Op<MatmulInputs, MatmulParams> = {
  name: "matmul",
  infer(inputs, params) {
    const { a, b, bias, residual, gain, up } = inputs;
    const { n, batchedB } = matmulShape(inputs, params);
    const known =
      a.dtype === "f32"
        ? ["f32", "f16"].includes(b.dtype) || isQuantized(b.dtype)
        : isHalf(inputs) || isInteger(inputs);
    if (!known || [bias, residual, gain].some((t) => t && t.dtype !== "f32")) {
      throw new DTypeError(
        `matmul: ${formatSpec(a)} x ${formatSpec(b)}: takes f32 by f32, f16 or a quantised dtype, f16 by f16, or q8_0 by a quantised dtype`,
      );
    }
    if (isQuantized(b.dtype) && (batchedB || !params.transposeB))
      throw new DTypeError(`matmul: ${formatSpec(b)}: quantised weights are one matrix [N, K], transposed`);
    if (a.dtype !== "f32" && (gain || up))
      throw new DTypeError(`matmul: ${formatSpec(a)}: a gain or up needs f32`);
    return [{ shape: [...a.shape.slice(0, -1), n], dtype: "f32" }];
  },
  variants: [
    unfused(subgroupMatrixVariant),
    ...matvecVariants,
    ...subgroupVariants.map(unfused),
    ...tiledVariants.map(unfused),
    quantizedSubgroupMatvecVariant,
    ...quantizedSubgroupVariants.map(unfused),
    quantizedMatvecVariant,
    ...quantizedTiledVariants.map(unfused),
    unfused(integerMatvecVariant),
    unfused(integerTiledVariant),
  ],
  reference: matmulReference,
  cost(inputs, [y], params) {
    const { batch, m, n, k } = matmulShape(inputs, params);
    const { a, b, bias, residual, gain, up } = inputs;
    const bytes = [a, b, bias, residual, gain, up, y].reduce((sum, t) => sum + (t ? dataBytes(t) : 0), 0);
    return { flops: (up ? 4 : 2) * batch * m * n * k, bytes };
  },
};

/** x / sqrt(mean(x²) + eps) · gain, over rows. */
export interface RmsNorm {
  /** f32 [K]. */
  readonly gain: Tensor;
  readonly eps: number;
}

export interface LinearOptions {
  readonly bias?: Tensor | undefined;
  readonly activation?: Activation;
  readonly residual?: Tensor | undefined;
  readonly scale?: number;
  /** RMS norm of x's rows, by the product itself: what `normedInput` gave. */
  readonly norm?: RmsNorm | undefined;
  /** Default f32. */
  readonly arithmetic?: Arithmetic;
}

/**
 * What products are made of. All but f32 round x first, which costs accuracy, and are for GPUs that are faster at it:
 *
 * - `f16`: x is rounded to f16, values beyond its range to its largest; products and sums are as exact as those of f32.
 *   For f16 weights (bench/notes/matmul.md says what it costs);
 * - `integer`: x is quantised to q8_0. For quantised weights (bench/notes/quantised.md).
 */
export type Arithmetic = "f32" | "f16" | "integer";

/** y = activation(scale · x Wᵀ + bias) + residual. x [.., K], weight [N, K] (f32, f16 or quantised) -> [.., N]. */
export function linear(cmd: Recorder, x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias, residual, activation = "none", scale = 1, norm, arithmetic = "f32" } = options;
  const a = operandOf(cmd, x, arithmetic);
  const inputs = { a, b: weight, bias, residual, gain: norm?.gain, up: undefined };
  return cmd.call1(matmulOp, inputs, { transposeB: true, activation, scale, eps: norm?.eps ?? 0 });
}

/** x as `linear` takes it for `arithmetic`, for several products of one input: they then find nothing left to round. */
export function operandOf(cmd: Recorder, x: Tensor, arithmetic: Arithmetic): Tensor {
  if (x.dtype !== "f32") return x;
  if (arithmetic === "integer") return quantized(cmd, x, "q8_0");
  return arithmetic === "f16" ? cast(cmd, x, "f16", { finite: true }) : x;
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
    { a, b, bias: undefined, residual: undefined, gain: undefined, up: undefined },
    { transposeB, activation: "none", scale },
  );
}
