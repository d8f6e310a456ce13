import { type OpCase, suite } from "../../op-case.ts";
import { tokenTermsOp } from "./index.ts";
import type { TokenTermsInputs } from "./spec.ts";

function termsCase(m: number, n: number, d: number): OpCase<TokenTermsInputs, Record<string, never>> {
  return {
    name: `${m}x${n}x${d}`,
    params: {},
    inputs: (r) => ({
      x: r.normals([m, n, d]),
      added: r.normals([m, d]),
      coefficients: r.normals([m, 2 * n]),
      shared: r.normals([d]),
      own: r.normals([n, d]),
    }),
  };
}

export const tokenTermsSuite = suite(tokenTermsOp, [
  termsCase(1, 1, 1),
  termsCase(3, 7, 13),
  termsCase(2, 9, 68),
]);
