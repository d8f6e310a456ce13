import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { exactly } from "../permute/cases.ts";
import { argmaxOp } from "./index.ts";
import type { ArgmaxInputs, ArgmaxParams } from "./spec.ts";

/** `levels`: values rounded to so many steps, so that many are equal. */
function argmaxCase(shape: Shape, levels?: number): OpCase<ArgmaxInputs, ArgmaxParams> {
  return {
    name: `${JSON.stringify(shape)}${levels ? " with ties" : ""}`,
    params: {},
    inputs(r) {
      const x = r.normals(shape);
      return {
        x: levels
          ? hostTensor(
              shape,
              "f32",
              x.data.map((v) => Math.round(v * levels) / levels),
            )
          : x,
      };
    },
    tolerance: exactly,
  };
}

const special = [
  [-3, -1, -2, -1],
  [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, -1e38, 0],
  [-0, 0, -1, -2],
  [1, Number.NaN, Number.POSITIVE_INFINITY, Number.NaN],
  [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
];

export const argmaxSuite = suite(argmaxOp, [
  argmaxCase([1]),
  argmaxCase([3, 5], 1),
  argmaxCase([2, 3, 257]),
  argmaxCase([70, 300], 1),
  argmaxCase([2, 32003]),
  argmaxCase([1, 9001], 1),
  {
    ...argmaxCase([5, 4]),
    name: "ties, zeros of both signs, infinities, NaN",
    inputs: () => ({ x: hostTensor([5, 4], "f32", special.flat()) }),
  },
]);
