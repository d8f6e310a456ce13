import { dispatch } from "../../kernel.ts";
import type { Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { drawKernel } from "./draw.wgsl.ts";
import { greedyKernel } from "./greedy.wgsl.ts";
import { penaltyDispatches } from "./penalty.wgsl.ts";
import { sampleReference } from "./reference.ts";
import { type SampleInputs, type SampleParams, sampleShape } from "./spec.ts";

export { penalise, type WarpSettings, warp } from "./reference.ts";
export { invalidToken, settingsCount } from "./spec.ts";

const rowsVariant: Variant<SampleInputs, SampleParams> = {
  name: "rows",
  supports: () => true,
  build({ inputs, outputs, params, scratch }) {
    const { logits, history, length, random, settings } = inputs;
    const token = outputs[0] as Tensor;
    const shape = sampleShape(inputs);
    const { batch, vocabulary } = shape;
    const scores = params.penalty ? scratch({ shape: [batch, vocabulary], dtype: "f32" }) : logits;
    return [
      ...(params.penalty ? penaltyDispatches({ logits, history, length, settings, scores }, shape) : []),
      params.draw
        ? dispatch(drawKernel, { scores, random, settings, token }, { vocabulary }, [batch])
        : dispatch(greedyKernel, { scores, token }, { vocabulary }, [batch]),
    ];
  },
};

export const sampleOp: Op<SampleInputs, SampleParams> = {
  name: "sample",
  infer(inputs) {
    return [{ shape: [sampleShape(inputs).batch], dtype: "u32" }];
  },
  variants: [rowsVariant],
  reference: sampleReference,
  cost: ({ logits }, _, { draw, penalty }) => ({
    flops: 0,
    bytes: 4 * sizeOf(logits.shape) * ((penalty ? 2 : 0) + (draw ? 11 : 1)),
  }),
};

export interface SampleTensors {
  /** [B, V] */
  readonly logits: Tensor;
  /** u32 [B, L] */
  readonly history: Tensor;
  /** u32 [B] */
  readonly length: Tensor;
  /** u32 [B, 2]: seed, step */
  readonly random: Tensor;
  /** f32 [5]: temperature, top-k, top-p, min-p, repetition penalty */
  readonly settings: Tensor;
}

/**
 * The next token of each row, u32 [B]: repetition penalty, then (with `draw`) temperature, top-k, top-p, min-p and a
 * draw, in the order and with the rules of Hugging Face's logits processors; else the first of the largest. All that
 * varies between steps is read from tensors, so a program replays. `invalidToken` where a row is NaN throughout or holds one.
 */
export function sample(cmd: Recorder, tensors: SampleTensors, params: SampleParams): Tensor {
  return cmd.call1(sampleOp, { ...tensors }, params);
}
