import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { exactly } from "../permute/cases.ts";
import { topKOp } from "./index.ts";
import type { TopKInputs, TopKParams } from "./spec.ts";

/** `levels`: values rounded to so many steps, so that many are equal. */
function topKCase(shape: Shape, k: number, levels?: number): OpCase<TopKInputs, TopKParams> {
  return {
    name: `${k} of ${JSON.stringify(shape)}${levels ? ` with ties at 1/${levels}` : ""}`,
    params: { k },
    inputs(r) {
      const x = r.normals(shape);
      const tied = x.data.map((v) => Math.round(v * (levels ?? 1)) / (levels ?? 1));
      return { x: levels ? hostTensor(shape, "f32", tied) : x };
    },
    tolerance: exactly,
  };
}

const special = [1, Number.NaN, -0, Number.POSITIVE_INFINITY, 0, Number.NEGATIVE_INFINITY, Number.NaN, -1];

export const topKSuite = suite(topKOp, [
  topKCase([1], 1),
  topKCase([5, 7], 7),
  topKCase([3, 2, 300], 5),
  topKCase([4, 513], 100, 4),
  topKCase([2, 3000], 1024, 1),
  topKCase([1, 70001], 900, 1),
  topKCase([1, 200000], 50),
  {
    ...topKCase([1, 8], 8),
    name: "NaN, infinities, zeros of both signs",
    inputs: () => ({ x: hostTensor([1, 8], "f32", special) }),
  },
]);
