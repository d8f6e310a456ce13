import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { sizeOf } from "../../tensor.ts";
import type { Pair } from "../conv2d/spec.ts";
import { deformableAttentionOp } from "./index.ts";
import type { DeformableAttentionInputs, DeformableAttentionParams } from "./spec.ts";

interface Sizes {
  readonly b: number;
  readonly q: number;
  readonly heads: number;
  readonly d: number;
  readonly points: number;
}

function deformableCase(
  { b, q, heads, d, points }: Sizes,
  levels: readonly Pair[],
  options: { softmax?: boolean; deep?: boolean; benchOnly?: boolean } = {},
): OpCase<DeformableAttentionInputs, DeformableAttentionParams> {
  const { softmax = false, deep = false, benchOnly = false } = options;
  const s = levels.reduce((sum, [h, w]) => sum + h * w, 0);
  const at = [b, q, heads, levels.length, points, 2];
  const weights = deep ? [b, q, heads, levels.length, points] : [b, q, heads, levels.length * points];
  return {
    name: `${[b, q, heads, d, points]} on ${levels.map((l) => l.join("x")).join(" ")}${softmax ? " softmax" : ""}`,
    params: { levels, softmax },
    inputs: (r) => ({
      value: r.normals([b, s, heads, d]),
      // a fifth of them outside, some far; none so near to a pixel that rounding could move it
      locations: hostTensor(
        at,
        "f32",
        Float64Array.from({ length: sizeOf(at) }, (_, i) => (i % 31 === 7 ? 40 : 1.4) * r.uniform() - 0.2),
      ),
      weights: r.normals(weights, softmax ? { scale: 3 } : { scale: 1 / (levels.length * points) }),
    }),
    // A position of up to `size` pixels carries rounding of size·2^-24, times a slope of up to about 6 between
    // neighbours; the weights sum to about 1. The sizes here stay below 64.
    tolerance: { abs: 64 * 6 * 6e-8, rel: 4e-6 },
    benchOnly,
  };
}

export const deformableAttentionSuite = suite(deformableAttentionOp, [
  deformableCase({ b: 1, q: 1, heads: 1, d: 1, points: 1 }, [[1, 1]]),
  deformableCase({ b: 2, q: 7, heads: 3, d: 5, points: 3 }, [
    [9, 13],
    [5, 7],
  ]),
  deformableCase(
    { b: 2, q: 5, heads: 2, d: 8, points: 4 },
    [
      [12, 17],
      [6, 9],
      [3, 5],
      [2, 3],
    ],
    { softmax: true },
  ),
  deformableCase(
    { b: 1, q: 9, heads: 4, d: 12, points: 2 },
    [
      [63, 2],
      [1, 31],
      [4, 4],
    ],
    { deep: true },
  ),
  deformableCase({ b: 3, q: 4, heads: 1, d: 3, points: 5 }, [[7, 6]], { softmax: true, deep: true }),
  deformableCase(
    { b: 1, q: 1045, heads: 8, d: 32, points: 4 },
    [
      [28, 28],
      [14, 14],
      [7, 7],
      [4, 4],
    ],
    { softmax: true, benchOnly: true },
  ),
]);
