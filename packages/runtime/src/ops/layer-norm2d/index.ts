import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors, Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { statistics } from "../layer-norm/reference.ts";
import { checkNorm, type NormParams, normCost } from "../layer-norm/spec.ts";
import type { LayerNorm2dInputs } from "./spec.ts";
import { tileVariant } from "./tile.wgsl.ts";

function reference({ x, weight, bias }: HostTensors<LayerNorm2dInputs>, { eps }: NormParams): HostTensor[] {
  const channels = x.shape[1] as number;
  const pixels = sizeOf(x.shape.slice(2));
  const out = new Float64Array(x.data.length);
  for (let n = 0; n < (x.shape[0] as number); n++) {
    for (let p = 0; p < pixels; p++) {
      const at = (c: number) => (n * channels + c) * pixels + p;
      const { mean, scale } = statistics(x.data, channels, at, eps, true);
      for (let c = 0; c < channels; c++) {
        const v = ((x.data[at(c)] as number) - mean) * scale;
        out[at(c)] = v * (weight.data[c] as number) + (bias.data[c] as number);
      }
    }
  }
  return [hostResult(x.shape, out)];
}

export const layerNorm2dOp: Op<LayerNorm2dInputs, NormParams> = {
  name: "layer-norm2d",
  infer({ x, weight, bias }, { eps }) {
    checkNorm("layerNorm2d", x, x.shape[1], { weight, bias }, eps);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  variants: [tileVariant],
  reference,
  cost: ({ x }) => normCost(x, 8),
};

/**
 * Layer normalisation over the channels at each position, as ConvNeXt and SAM's neck have it.
 * x [N, C, H, W], weight and bias [C] (f32 or f16) -> [N, C, H, W].
 */
export function layerNorm2d(cmd: Recorder, x: Tensor, weight: Tensor, bias: Tensor, eps: number): Tensor {
  return cmd.call1(layerNorm2dOp, { x, weight, bias }, { eps });
}
