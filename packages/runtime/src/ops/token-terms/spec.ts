import { DTypeError, ShapeError } from "../../errors.ts";
import { formatShape, formatSpec, type TensorSpec } from "../../tensor.ts";

export interface TokenTermsInputs {
  /** [M, N, D], f32. */
  readonly x: TensorSpec;
  /** Added to all rows of a matrix. [M, D], f32. */
  readonly added: TensorSpec;
  /** Coefficients of `shared`, then of `own`. [M, 2N], f32. */
  readonly coefficients: TensorSpec;
  /** [D], f32. */
  readonly shared: TensorSpec;
  /** A vector a row. [N, D], f32. */
  readonly own: TensorSpec;
}

export interface TokenShape {
  readonly m: number;
  readonly n: number;
  readonly d: number;
}

/** Checks tensors against shapes of [M, N, D]; all f32. */
export function checkTokenShapes(
  op: string,
  x: TensorSpec,
  others: (s: TokenShape) => [TensorSpec, number[]][],
): TokenShape {
  const [m, n, d] = x.shape as [number, number, number];
  if (x.shape.length !== 3) throw new ShapeError(`${op}: ${formatSpec(x)} is not [M, N, D]`);
  for (const [spec, shape] of [[x, [m, n, d]] as [TensorSpec, number[]], ...others({ m, n, d })]) {
    if (spec.dtype !== "f32") throw new DTypeError(`${op}: ${formatSpec(spec)} is not f32`);
    if (formatShape(spec.shape) !== formatShape(shape))
      throw new ShapeError(
        `${op}: ${formatSpec(spec)} is not ${formatShape(shape)}, as ${formatSpec(x)} needs`,
      );
  }
  return { m, n, d };
}

export function tokenTermsShape({ x, added, coefficients, shared, own }: TokenTermsInputs): TokenShape {
  return checkTokenShapes("tokenTerms", x, ({ m, n, d }) => [
    [added, [m, d]],
    [coefficients, [m, 2 * n]],
    [shared, [d]],
    [own, [n, d]],
  ]);
}
