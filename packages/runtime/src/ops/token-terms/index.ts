import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { flatVariants } from "./flat.wgsl.ts";
import { type TokenTermsInputs, tokenTermsShape } from "./spec.ts";

export const tokenTermsOp: Op<TokenTermsInputs, Record<string, never>> = {
  name: "token-terms",
  infer(inputs) {
    tokenTermsShape(inputs);
    return [{ shape: inputs.x.shape, dtype: "f32" }];
  },
  variants: flatVariants,
  reference(inputs) {
    const { n, d } = tokenTermsShape(inputs);
    const { x, added, coefficients, shared, own } = inputs;
    const out = x.data.map((v, i) => {
      const [m, row, c] = [Math.floor(i / (n * d)), Math.floor(i / d) % n, i % d];
      const [a, b] = [2 * m * n + row, 2 * m * n + n + row].map((at) => coefficients.data[at] as number);
      return (
        v +
        (added.data[m * d + c] as number) +
        (a as number) * (shared.data[c] as number) +
        (b as number) * (own.data[row * d + c] as number)
      );
    });
    return [hostResult(x.shape, out)];
  },
  cost: ({ x }) => ({ flops: 5 * sizeOf(x.shape), bytes: 8 * sizeOf(x.shape) }),
};

/**
 * x[m, n] + added[m] + a[m, n] · shared + b[m, n] · own[n], with [a, b] = coefficients. Its adjoint is `tokenDots`.
 * x [M, N, D], added [M, D], coefficients [M, 2N], shared [D], own [N, D] -> [M, N, D].
 */
export function tokenTerms(
  cmd: Recorder,
  inputs: { readonly [K in keyof TokenTermsInputs]: Tensor },
): Tensor {
  return cmd.call1(tokenTermsOp, inputs, {});
}
