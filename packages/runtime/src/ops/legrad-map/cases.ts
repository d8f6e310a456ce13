import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { Random } from "../../random.ts";
import type { Shape } from "../../tensor.ts";
import { legradMapOp } from "./index.ts";
import type { LegradMapInputs, LegradMapParams } from "./spec.ts";

/** Eighths between -2 and 2: products and their sums are exact in f32, so that signs can be compared bit for bit. */
export function eighths(r: Random, shape: Shape) {
  return hostTensor(
    shape,
    "f32",
    r.integers(shape, -16, 17, "i32").data.map((v) => v / 8),
  );
}

function mapCase(
  masks: number,
  tokens: number,
  heads: number,
  size: number,
  benchOnly = false,
): OpCase<LegradMapInputs, LegradMapParams> {
  return {
    name: `${masks} masks, ${tokens} tokens, ${heads} heads of ${size}`,
    params: { heads },
    inputs: (r) => ({
      gradient: eighths(r, [masks, tokens, heads * size]),
      values: eighths(r, [tokens, heads * size]),
    }),
    // sums of positive terms: a relative rounding of some 1e-7 each
    tolerance: { abs: 1e-6, rel: 3e-6 },
    benchOnly,
  };
}

/** Tokens on and off the tiles' edges (32, 64); heads whose size is and is not a multiple of 4 and 16. */
export const legradMapSuite = suite(legradMapOp, [
  mapCase(1, 1, 1, 1),
  mapCase(2, 26, 2, 32),
  mapCase(3, 33, 3, 12),
  mapCase(1, 130, 2, 11),
  mapCase(2, 64, 1, 64),
  mapCase(4, 577, 16, 64, true),
]);
