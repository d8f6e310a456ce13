import { type OpCase, suite } from "../../op-case.ts";
import { signWeightedValueOp } from "./index.ts";
import type { SignWeightedValueInputs } from "./spec.ts";

function valueCase(
  masks: number,
  tokens: number,
  heads: number,
  size: number,
  benchOnly = false,
): OpCase<SignWeightedValueInputs, Record<string, never>> {
  return {
    name: `${masks} masks, ${tokens} tokens, ${heads} heads of ${size}`,
    params: {},
    inputs: (r) => ({
      signs: r.integers([masks, heads, Math.ceil(tokens / 32), tokens], 0, 2 ** 32),
      weights: r.normals([masks, tokens], { scale: heads * tokens }),
      values: r.normals([tokens, heads * size], { scale: 1 / Math.sqrt(tokens) }),
    }),
    // sums of N terms of size 1/sqrt(N): roundings grow like sqrt(N)·2^-24 of a value of size 1
    tolerance: { abs: 4e-6, rel: 4e-6 },
    benchOnly,
  };
}

export const signWeightedValueSuite = suite(signWeightedValueOp, [
  valueCase(1, 1, 1, 1),
  valueCase(2, 26, 2, 32),
  valueCase(3, 33, 3, 12),
  valueCase(1, 130, 2, 11),
  valueCase(2, 64, 1, 68),
  valueCase(4, 577, 16, 64, true),
]);
