import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { exactly, values } from "../permute/cases.ts";
import { gatherRowsOp } from "./index.ts";
import type { GatherRowsInputs, GatherRowsParams } from "./spec.ts";

function gatherCase(
  shape: Shape,
  indices: Shape,
  dtype: DType = "f32",
): OpCase<GatherRowsInputs, GatherRowsParams> {
  return {
    name: `${JSON.stringify(shape)} by ${JSON.stringify(indices)} ${dtype}`,
    params: {},
    inputs: (r) => ({
      x: values(r, shape, dtype),
      indices: r.integers(indices, 0, shape[0] as number),
    }),
    tolerance: exactly,
  };
}

export const gatherRowsSuite = suite(gatherRowsOp, [
  gatherCase([1, 1], [1]),
  gatherCase([7, 5], [3, 4]),
  gatherCase([9, 16], [20], "i32"),
  gatherCase([100, 3], [65], "u32"),
  {
    ...gatherCase([4, 8], [3]),
    name: "an index outside gives a row of NaN",
    inputs: (r) => ({ x: r.normals([4, 8]), indices: hostTensor([3], "u32", [3, 4, 0]) }),
  },
]);
