import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { softmaxOp } from "./index.ts";
import type { SoftmaxInputs } from "./spec.ts";

type SoftmaxCase = OpCase<SoftmaxInputs, Record<string, never>>;

// exp() is within a few ulp of its value, and x - max is rounded at most 2^-24·|x|; both are relative errors of p
const tolerance = { abs: 1e-7, rel: 6e-6 };

function softmaxCase(shape: Shape, scale = 1): SoftmaxCase {
  return {
    name: `${JSON.stringify(shape)} of size ${scale}`,
    params: {},
    inputs: (r) => ({ x: r.normals(shape, { scale }) }),
    tolerance,
  };
}

/** Row 0 and every third element masked, in the two ways in which masks come. */
const maskedCase: SoftmaxCase = {
  name: "masked",
  params: {},
  inputs(r) {
    const x = r.normals([5, 41]);
    const masks = [Number.NEGATIVE_INFINITY, -3.4028234663852886e38];
    const data = x.data.map((v, i) => (i < 41 || i % 3 === 0 ? (masks[i % 2] as number) : v));
    return { x: hostTensor(x.shape, "f32", data) };
  },
  tolerance,
};

export const softmaxSuite = suite(softmaxOp, [
  softmaxCase([1]),
  softmaxCase([3, 1]),
  softmaxCase([2, 3, 5, 7]),
  softmaxCase([131, 32], 10),
  softmaxCase([7, 33]),
  softmaxCase([3, 577], 5),
  softmaxCase([2, 100_003], 3),
  maskedCase,
]);
