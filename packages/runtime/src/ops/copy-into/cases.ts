import { type OpCase, suite } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { copyIntoOp } from "./index.ts";
import type { CopyIntoInputs } from "./spec.ts";

function copyCase(source: Shape, target: Shape): OpCase<CopyIntoInputs, Record<string, never>> {
  return {
    name: `${JSON.stringify(source)} into ${JSON.stringify(target)}`,
    params: {},
    inputs: (r) => ({ source: r.normals(source), target: r.normals(target) }),
    tolerance: { abs: 0, rel: 0 },
  };
}

export const copyIntoSuite = suite(copyIntoOp, [
  copyCase([1], [1]),
  copyCase([1, 13], [7, 13]),
  copyCase([9, 5], [9, 5]),
]);
