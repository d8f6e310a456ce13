import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { rowVariants } from "./rows.wgsl.ts";
import { type TokenDotsInputs, tokenDotsShape } from "./spec.ts";

export const tokenDotsOp: Op<TokenDotsInputs, Record<string, never>> = {
  name: "token-dots",
  infer(inputs) {
    const { m, n } = tokenDotsShape(inputs);
    return [{ shape: [m, 2 * n], dtype: "f32" }];
  },
  variants: rowVariants,
  reference(inputs) {
    const { m, n, d } = tokenDotsShape(inputs);
    const { x, shared, own } = inputs;
    const out = new Float64Array(m * 2 * n);
    x.data.forEach((v, i) => {
      const [z, row, c] = [Math.floor(i / (n * d)), Math.floor(i / d) % n, i % d];
      const at = 2 * z * n + row;
      out[at] = (out[at] as number) + v * (shared.data[c] as number);
      out[at + n] = (out[at + n] as number) + v * (own.data[row * d + c] as number);
    });
    return [hostResult([m, 2 * n], out)];
  },
  cost: ({ x }) => ({ flops: 4 * sizeOf(x.shape), bytes: 4 * sizeOf(x.shape) }),
};

/**
 * x[m, n] · shared for all n, then x[m, n] · own[n]: the adjoint of `tokenTerms`.
 * x [M, N, D], shared [D], own [N, D] -> [M, 2N].
 */
export function tokenDots(cmd: Recorder, inputs: { readonly [K in keyof TokenDotsInputs]: Tensor }): Tensor {
  return cmd.call1(tokenDotsOp, inputs, {});
}
