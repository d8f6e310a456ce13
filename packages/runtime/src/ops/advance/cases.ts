import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { advanceOp } from "./index.ts";
import type { AdvanceInputs } from "./spec.ts";

function advanceCase(
  batch: number,
  capacity: number,
  ends: number,
): OpCase<AdvanceInputs, Record<string, never>> {
  return {
    name: `${batch} rows, ${ends} ends`,
    params: {},
    inputs: (r) => ({
      token: r.integers([batch], 0, 6),
      last: r.integers([batch], 0, 6),
      eos: r.integers([ends], 0, 6),
      history: r.integers([batch, capacity], 0, 100),
      length: r.integers([batch], 0, capacity + 1), // full ones too
      position: r.integers([batch], 0, 1000),
      random: r.integers([batch, 2], 0, 1000),
      done: hostTensor(
        [batch],
        "u32",
        Array.from({ length: batch }, (_, i) => i % 2),
      ),
    }),
    tolerance: { abs: 0, rel: 0 },
  };
}

export const advanceSuite = suite(advanceOp, [advanceCase(1, 4, 1), advanceCase(37, 3, 2)]);
