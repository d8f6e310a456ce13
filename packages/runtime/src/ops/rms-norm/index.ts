import type { Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { lanesFit, lanesNorm, lanesPreferred } from "../layer-norm/lanes.wgsl.ts";
import { rowNormReference } from "../layer-norm/reference.ts";
import { rowNorm, rowNormWays } from "../layer-norm/rows.wgsl.ts";
import { checkNorm, lastAxisRows, type NormParams, normCost } from "../layer-norm/spec.ts";
import type { RmsNormInputs } from "./spec.ts";

const variants = rowNormWays.map(
  ({ name, mode, wide, fits }): Variant<RmsNormInputs, NormParams> => ({
    name,
    supports: ({ x }, _, caps) => fits(lastAxisRows(x).width, caps),
    build: ({ inputs: { x, weight }, outputs, params: { eps }, caps }) =>
      rowNorm(
        { kind: "rms", x, y: outputs[0] as Tensor, ...lastAxisRows(x), eps, weight, bias: undefined },
        mode,
        wide,
        caps,
      ),
  }),
);

const lanes: Variant<RmsNormInputs, NormParams> = {
  name: "lanes",
  supports: ({ x }, _, caps) => lanesFit(lastAxisRows(x).width, caps),
  prefers: (_, __, caps) => lanesPreferred(caps),
  build: ({ inputs: { x, weight }, outputs, params: { eps }, caps }) =>
    lanesNorm(
      { kind: "rms", x, y: outputs[0] as Tensor, ...lastAxisRows(x), eps, weight, bias: undefined },
      caps,
    ),
};

export const rmsNormOp: Op<RmsNormInputs, NormParams> = {
  name: "rms-norm",
  infer({ x, weight }, { eps }) {
    checkNorm("rmsNorm", x, x.shape.at(-1), { weight }, eps);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  variants: [lanes, ...variants],
  reference: ({ x, weight }, { eps }) => rowNormReference(x, weight, undefined, eps, false),
  cost: ({ x }) => normCost(x, 4),
};

/**
 * x / sqrt(mean(x²) + eps) · weight over the last axis (Zhang and Sennrich 2019).
 * x [.., D], weight [D] (f32 or f16) -> [.., D].
 */
export function rmsNorm(cmd: Recorder, x: Tensor, weight: Tensor, eps: number): Tensor {
  return cmd.call1(rmsNormOp, { x, weight }, { eps });
}
