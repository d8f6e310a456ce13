import type { Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import type { Tensor } from "../../tensor.ts";
import { lanesFit, lanesNorm, lanesPreferred } from "./lanes.wgsl.ts";
import { rowNormReference } from "./reference.ts";
import { rowNorm, rowNormWays } from "./rows.wgsl.ts";
import { checkNorm, type LayerNormInputs, lastAxisRows, type NormParams, normCost } from "./spec.ts";

const variants = rowNormWays.map(
  ({ name, mode, wide, fits }): Variant<LayerNormInputs, NormParams> => ({
    name,
    supports: ({ x }, _, caps) => fits(lastAxisRows(x).width, caps),
    build: ({ inputs: { x, weight, bias }, outputs, params: { eps }, caps }) =>
      rowNorm(
        { kind: "layer", x, y: outputs[0] as Tensor, ...lastAxisRows(x), eps, weight, bias },
        mode,
        wide,
        caps,
      ),
  }),
);

const lanes: Variant<LayerNormInputs, NormParams> = {
  name: "lanes",
  supports: ({ x }, _, caps) => lanesFit(lastAxisRows(x).width, caps),
  prefers: (_, __, caps) => lanesPreferred(caps),
  build: ({ inputs: { x, weight, bias }, outputs, params: { eps }, caps }) =>
    lanesNorm({ kind: "layer", x, y: outputs[0] as Tensor, ...lastAxisRows(x), eps, weight, bias }, caps),
};

export const layerNormOp: Op<LayerNormInputs, NormParams> = {
  name: "layer-norm",
  infer({ x, weight, bias }, { eps }) {
    checkNorm("layerNorm", x, x.shape.at(-1), { weight, bias }, eps);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  variants: [lanes, ...variants],
  reference: ({ x, weight, bias }, { eps }) => rowNormReference(x, weight, bias, eps, true),
  cost: ({ x }) => normCost(x, 8),
};

/**
 * Layer normalisation over the last axis (Ba et al. 2016): (x - mean) / sqrt(variance + eps) · weight + bias, the
 * variance taken around the mean in a pass of its own. x [.., D], weight and bias [D] (f32 or f16) -> [.., D].
 */
export function layerNorm(
  cmd: Recorder,
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  eps: number,
): Tensor {
  return cmd.call1(layerNormOp, { x, weight, bias }, { eps });
}
