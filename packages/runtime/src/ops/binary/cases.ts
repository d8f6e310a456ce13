import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { binaryOp } from "./index.ts";
import type { BinaryInputs, BinaryKind, BinaryParams } from "./spec.ts";

const shapes: [Shape, Shape][] = [
  [[1], [1]],
  [
    [7, 13],
    [7, 13],
  ],
  [[3, 5, 7], [7]],
  [
    [3, 5, 7],
    [3, 1, 7],
  ],
  [
    [2, 1, 5, 1, 3],
    [4, 1, 6, 1],
  ],
  [[], [5]],
  [
    [257, 129],
    [257, 1],
  ],
];

function binaryCase(kind: BinaryKind, a: Shape, b: Shape): OpCase<BinaryInputs, BinaryParams> {
  return {
    name: `${kind} ${JSON.stringify(a)} ${JSON.stringify(b)}`,
    params: { kind },
    // a divisor stays away from 0, where one rounding is no longer a small absolute error
    inputs: (r) => ({ a: r.normals(a), b: r.normals(b, kind === "div" ? { mean: 5, scale: 0.5 } : {}) }),
  };
}

export const binarySuite = suite(binaryOp, [
  ...shapes.map(([a, b]) => binaryCase("add", a, b)),
  ...(["sub", "mul", "div", "max", "min"] as const).flatMap((k) => [
    binaryCase(k, [5, 9], [5, 9]),
    binaryCase(k, [4, 3, 5], [3, 1]),
  ]),
]);
