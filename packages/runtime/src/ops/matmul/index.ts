import type { Activation } from "../../activation.ts";
import { DTypeError } from "../../errors.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { matvecVariants } from "./matvec.wgsl.ts";
import { matmulReference } from "./reference.ts";
import { type MatmulInputs, type MatmulParams, matmulShape } from "./spec.ts";
import { subgroupVariants } from "./subgroup.wgsl.ts";
import { tiledVariants } from "./tiled.wgsl.ts";

export const matmulOp: Op<MatmulInputs, MatmulParams> = {
  name: "matmul",
  infer(inputs, params) {
    const { a, b, bias, residual } = inputs;
    const floats =
      [a, bias, residual].every((t) => !t || t.dtype === "f32") && (b.dtype === "f32" || b.dtype === "f16");
    if (!floats)
      throw new DTypeError(`matmul: ${formatSpec(a)} x ${formatSpec(b)}: takes f32 x f32 or f32 x f16`);
    const { n } = matmulShape(inputs, params);
    return [{ shape: [...a.shape.slice(0, -1), n], dtype: "f32" }];
  },
  variants: [...matvecVariants, ...subgroupVariants, ...tiledVariants],
  reference: matmulReference,
  cost(inputs, [y], params) {
    const { batch, m, n, k } = matmulShape(inputs, params);
    const { a, b, bias, residual } = inputs;
    const bytes = [a, b, bias, residual, y].reduce(
      (sum, t) => sum + (t ? sizeOf(t.shape) * bytesPerElement(t.dtype) : 0),
      0,
    );
    return { flops: 2 * batch * m * n * k, bytes };
  },
};

export interface LinearOptions {
  readonly bias?: Tensor | undefined;
  readonly activation?: Activation;
  readonly residual?: Tensor | undefined;
  readonly scale?: number;
}

/** y = activation(scale · x Wᵀ + bias) + residual. x [.., K], weight [N, K] (f32 or f16) -> [.., N]. */
export function linear(cmd: Recorder, x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  const { bias, residual, activation = "none", scale = 1 } = options;
  return cmd.call1(matmulOp, { a: x, b: weight, bias, residual }, { transposeB: true, activation, scale });
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
