import type { Activation } from "../../activation.ts";
import { ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, sizeOf, type TensorSpec } from "../../tensor.ts";

export interface MatmulInputs {
  /** [batch, M, K] or [M, K] (leading axes are batch), f32; or f16 where B is, or q8_0 where B is quantised. */
  readonly a: TensorSpec;
  /** `transposeB` (weights as checkpoints store them): [N, K] or [batch, N, K]; else [K, N] or [batch, K, N].
   * f32, f16, or quantised where it is one transposed matrix. */
  readonly b: TensorSpec;
  /** [N]. f32. */
  readonly bias?: TensorSpec | undefined;
  /** Of the output's shape, added after the activation. */
  readonly residual?: TensorSpec | undefined;
  /** f32 [K]: the gain of an RMS norm that A's rows go through first, with `eps`. For transposed f32 A and one B. */
  readonly gain?: TensorSpec | undefined;
  /** Of B's shape and dtype: the output is activation(A Bᵀ) · (A upᵀ), the inside of a gated MLP. Without bias and residual. */
  readonly up?: TensorSpec | undefined;
}

export interface MatmulParams {
  readonly transposeB: boolean;
  readonly activation: Activation;
  /** Multiplies the product before bias and activation. */
  readonly scale: number;
  /** Of the RMS norm, where there is a gain. */
  readonly eps?: number;
}

export interface MatmulShape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** False where one B serves the whole batch; M then counts all rows and batch is 1. */
  readonly batchedB: boolean;
}

/** Resolves [.., M, K] x B to one of: batch of matrices, or all rows against one B. Throws ShapeError. */
export function matmulShape(
  { a, b, bias, residual, gain, up }: MatmulInputs,
  { transposeB }: MatmulParams,
): MatmulShape {
  const fail = (why: string): never => {
    throw new ShapeError(
      `matmul: ${formatSpec(a)} x ${formatSpec(b)}${transposeB ? " (transposed)" : ""}: ${why}`,
    );
  };
  if (a.shape.length < 1 || b.shape.length < 2) return fail("needs matrices");
  const k = a.shape.at(-1) as number;
  const [n, kb] = (transposeB ? b.shape.slice(-2) : b.shape.slice(-2).reverse()) as [number, number];
  if (kb !== k) return fail(`inner sizes ${k} and ${kb} differ`);
  const batchB = sizeOf(b.shape.slice(0, -2));
  if (bias && formatShape(bias.shape) !== formatShape([n]))
    return fail(`bias ${formatShape(bias.shape)} is not [${n}]`);
  const shape = [...a.shape.slice(0, -1), n];
  if (residual && sizeOf(residual.shape) !== sizeOf(shape)) {
    return fail(`residual ${formatShape(residual.shape)} is not ${formatShape(shape)}`);
  }
  if (gain && formatShape(gain.shape) !== formatShape([k]))
    return fail(`gain ${formatShape(gain.shape)} is not [${k}]`);
  if (up && (up.dtype !== b.dtype || formatShape(up.shape) !== formatShape(b.shape)))
    return fail(`up is ${formatSpec(up)}`);
  if ((gain || up) && (batchB !== 1 || !transposeB)) return fail("a gain or up needs one transposed matrix");
  if (up && (bias || residual)) return fail("up goes without bias and residual");
  if (b.shape.length === 2 || batchB === 1)
    return { batch: 1, m: sizeOf(a.shape) / k, n, k, batchedB: false };
  const batchA = sizeOf(a.shape.slice(0, -2));
  if (batchA !== batchB) return fail(`batches ${batchA} and ${batchB} differ`);
  return { batch: batchA, m: a.shape.at(-2) as number, n, k, batchedB: true };
}
