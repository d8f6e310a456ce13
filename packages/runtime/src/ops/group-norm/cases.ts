import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { groupNormOp } from "./index.ts";
import type { GroupNormInputs, GroupNormParams } from "./spec.ts";

function groupNormCase(
  shape: Shape,
  groups: number,
  { dtype = "f32", benchOnly = false }: { dtype?: DType; benchOnly?: boolean } = {},
): OpCase<GroupNormInputs, GroupNormParams> {
  const c = shape[1] as number;
  return {
    name: `${JSON.stringify(shape)} ${groups} groups ${dtype}`,
    params: { groups, eps: 1e-5 },
    inputs: (r) => ({
      x: r.normals(shape, { mean: 0.5 }),
      weight: r.normals([c], { mean: 1, scale: 0.2, dtype }),
      bias: r.normals([c], { dtype }),
    }),
    // as layer-norm: sums of at most some hundred values a thread, then a tree
    tolerance: { abs: 3e-6, rel: 2e-6 },
    benchOnly,
  };
}

export const groupNormSuite = suite(groupNormOp, [
  groupNormCase([1, 4], 2),
  groupNormCase([2, 6, 5, 7], 3, { dtype: "f16" }),
  groupNormCase([2, 8, 4, 6], 4),
  groupNormCase([1, 5, 9], 1),
  groupNormCase([3, 4, 3], 4),
  groupNormCase([1, 16, 40, 33], 2),
  groupNormCase([1, 256, 100, 100], 32, { benchOnly: true }),
]);
