import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, sizeOf, type Tensor } from "../../tensor.ts";
import { groupsVariant } from "./groups.wgsl.ts";
import { quantizeReference } from "./reference.ts";
import { type QuantizeInputs, type QuantizeParams, quantizeShape } from "./spec.ts";

export const quantizeOp: Op<QuantizeInputs, QuantizeParams> = {
  name: "quantize",
  mutates: ["target"],
  infer(inputs, params) {
    quantizeShape(inputs, params);
    return [];
  },
  variants: [groupsVariant],
  reference: quantizeReference,
  cost(inputs, _, params) {
    const { dtype, rows, width } = quantizeShape(inputs, params);
    return {
      flops: 8 * sizeOf(inputs.x.shape),
      bytes: dataBytes(inputs.x) + dataBytes({ shape: [rows, width], dtype }),
    };
  },
};

/**
 * Quantises rows x [R', K] into `target` [R, K], a tensor of a quantised dtype that outlives the program, from `row` on: a
 * large weight is transferred and quantised part by part. x is f32, f16, or bf16 as u32 [R', K / 2] of two a word. A group
 * with a value that is not finite, or with a range that no f16 scale fits, becomes NaN.
 */
export function quantize(cmd: Recorder, x: Tensor, target: Tensor, options: { row?: number } = {}): void {
  cmd.call(quantizeOp, { x, target }, { row: options.row ?? 0 });
}
