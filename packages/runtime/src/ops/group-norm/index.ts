import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors, Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { statistics } from "../layer-norm/reference.ts";
import { rowNorm, rowNormWays } from "../layer-norm/rows.wgsl.ts";
import { checkNorm, normCost } from "../layer-norm/spec.ts";
import { type GroupNormInputs, type GroupNormParams, groupRows } from "./spec.ts";

const variants = rowNormWays.map(
  ({ name, mode, wide, fits }): Variant<GroupNormInputs, GroupNormParams> => ({
    name,
    supports: ({ x }, { groups }, caps) => fits(groupRows(x, groups).grouped.inner, caps),
    build: ({ inputs: { x, weight, bias }, outputs, params: { eps, groups }, caps }) =>
      rowNorm(
        { kind: "layer", x, y: outputs[0] as Tensor, ...groupRows(x, groups), eps, weight, bias },
        mode,
        wide,
        caps,
      ),
  }),
);

function reference(
  { x, weight, bias }: HostTensors<GroupNormInputs>,
  { eps, groups }: GroupNormParams,
): HostTensor[] {
  const { rows, width, grouped } = groupRows(x, groups);
  const out = new Float64Array(x.data.length);
  for (let row = 0; row < rows; row++) {
    const base = row * width;
    const { mean, scale } = statistics(x.data, width, (i) => base + i, eps, true);
    for (let i = 0; i < width; i++) {
      const c = (row % groups) * grouped.channels + Math.floor(i / grouped.inner);
      const v = ((x.data[base + i] as number) - mean) * scale;
      out[base + i] = v * (weight.data[c] as number) + (bias.data[c] as number);
    }
  }
  return [hostResult(x.shape, out)];
}

export const groupNormOp: Op<GroupNormInputs, GroupNormParams> = {
  name: "group-norm",
  infer({ x, weight, bias }, { eps, groups }) {
    checkNorm("groupNorm", x, x.shape[1], { weight, bias }, eps);
    groupRows(x, groups);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  variants,
  reference,
  cost: ({ x }) => normCost(x, 8),
};

/**
 * Group normalisation (Wu and He 2018): mean and variance over each group of channels and all positions.
 * x [N, C, ..], weight and bias [C] (f32 or f16) -> the shape of x.
 */
export function groupNorm(
  cmd: Recorder,
  x: Tensor,
  weight: Tensor,
  bias: Tensor,
  groups: number,
  eps: number,
): Tensor {
  return cmd.call1(groupNormOp, { x, weight, bias }, { groups, eps });
}
