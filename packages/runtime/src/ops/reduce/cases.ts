import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { type Shape, sizeOf } from "../../tensor.ts";
import { reduceOp } from "./index.ts";
import { type ReduceInputs, type ReduceKind, type ReduceParams, reducedShape } from "./spec.ts";

function reduceCase(
  kind: ReduceKind,
  shape: Shape,
  axes: readonly number[],
  { keepDims = false, benchOnly = false } = {},
): OpCase<ReduceInputs, ReduceParams> {
  const params = { kind, axes, keepDims };
  const count = sizeOf(shape) / sizeOf(reducedShape({ shape, dtype: "f32" }, params));
  // sums of n values of size 1 in blocks: each of the partial sums (of size sqrt(n)) is rounded at 2^-24 of itself, and a
  // chain is at most some hundred long
  const rounding = 2 ** -24 * 16 * Math.sqrt(count);
  const abs = { sum: rounding, mean: rounding / count, max: 0, min: 0 }[kind];
  return {
    name: `${kind} ${JSON.stringify(shape)} over ${JSON.stringify(axes)}${keepDims ? " kept" : ""}`,
    params,
    inputs: (r) => ({ x: r.normals(shape, { mean: 0.1 }) }),
    tolerance: { abs, rel: kind === "sum" || kind === "mean" ? 1e-6 : 0 },
    benchOnly,
  };
}

const nan = Number.NaN;
const inf = Number.POSITIVE_INFINITY;
const special = [1, nan, 2, -inf, -1, -2, inf, 3, 4, -inf, -inf, -inf];

export const reduceSuite = suite(reduceOp, [
  reduceCase("sum", [1], [0]),
  reduceCase("sum", [7, 5], [1]),
  reduceCase("sum", [6, 8], [-1], { keepDims: true }),
  reduceCase("mean", [3, 4, 33], [1, 2]),
  reduceCase("mean", [577, 44], [0]),
  reduceCase("sum", [2, 3, 5, 7], [1, 3]),
  reduceCase("mean", [2, 3, 2, 3, 2, 5], [0, 2, 4], { keepDims: true }),
  reduceCase("sum", [3, 5], []),
  reduceCase("mean", [2, 40003], [1]),
  reduceCase("sum", [65536], [0]),
  reduceCase("max", [5, 2048], [1]),
  reduceCase("min", [9, 33], [1]),
  reduceCase("max", [9, 33, 3], [1]),
  reduceCase("min", [4, 5, 6], [0]),
  reduceCase("max", [1, 40000], [0, 1]),
  ...(["max", "min"] as const).map((kind) => ({
    ...reduceCase(kind, [3, 4], [1]),
    name: `${kind} of NaN and infinities`,
    inputs: () => ({ x: hostTensor([3, 4], "f32", special) }),
  })),
  reduceCase("mean", [4096, 4096], [1], { benchOnly: true }),
  reduceCase("mean", [4096, 4096], [0], { benchOnly: true }),
]);
