import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { type Shape, sizeOf } from "../../tensor.ts";
import { maskPoolOp } from "./index.ts";
import type { MaskPoolInputs } from "./spec.ts";

function maskPoolCase(features: Shape, masks: Shape, benchOnly = false): OpCase<MaskPoolInputs, null> {
  const tokens = features[0] as number;
  return {
    name: `${JSON.stringify(features)} ${JSON.stringify(masks)}`,
    params: null,
    // soft weights, every third of them 0; the second mask is empty
    inputs: (r) => ({
      features: r.normals(features),
      masks: hostTensor(
        masks,
        "f32",
        Float64Array.from({ length: sizeOf(masks) }, (_, i) =>
          Math.floor(i / tokens) === 1 || r.integer(0, 3) === 0 ? 0 : r.uniform(),
        ),
      ),
    }),
    // a mean of T values of size 1: rounding grows at most like sqrt(T)·2^-24 of their size
    tolerance: { abs: 2e-7 * Math.max(8, Math.sqrt(tokens)), rel: 2e-6 },
    benchOnly,
  };
}

export const maskPoolSuite = suite(maskPoolOp, [
  maskPoolCase([1, 1], [2, 1, 1]),
  maskPoolCase([35, 13], [3, 5, 7]),
  maskPoolCase([42, 20], [5, 42]),
  maskPoolCase([144, 64], [4, 12, 12]),
  maskPoolCase([576, 1024], [20, 24, 24], true),
]);
