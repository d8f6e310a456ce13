import { DTypeError } from "../../errors.ts";
import type { Op } from "../../op.ts";
import { isQuantized, type QuantizedDType } from "../../quantized.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, sizeOf, type Tensor } from "../../tensor.ts";
import { groupsVariant } from "./groups.wgsl.ts";
import { quantizeReference } from "./reference.ts";
import { type QuantizeInputs, type QuantizeParams, quantizeShape } from "./spec.ts";

export const quantizeOp: Op<QuantizeInputs, QuantizeParams> = {
  name: "quantize",
  mutates: ["target"],
  infer(inputs, params) {
    const { x, target } = inputs;
    const { width } = quantizeShape(inputs, params);
    return target ? [] : [{ shape: [...x.shape.slice(0, -1), width], dtype: params.dtype }];
  },
  variants: [groupsVariant],
  reference: quantizeReference,
  cost(inputs, _, params) {
    const { rows, width } = quantizeShape(inputs, params);
    return {
      flops: 8 * sizeOf(inputs.x.shape),
      bytes: dataBytes(inputs.x) + dataBytes({ shape: [rows, width], dtype: params.dtype }),
    };
  },
};

/**
 * Quantises rows x [R', K] into `target` [R, K], a tensor of a quantised dtype that outlives the program, from `row` on: a
 * large weight is transferred and quantised part by part. x is f32, f16, or bf16 as u32 [R', K / 2] of two a word. A group
 * with a value that is not finite, or with a range that no f16 scale fits, becomes NaN.
 */
export function quantize(cmd: Recorder, x: Tensor, target: Tensor, options: { row?: number } = {}): void {
  const { dtype } = target;
  if (!isQuantized(dtype)) throw new DTypeError(`quantize: ${target} is not of a quantised dtype`);
  cmd.call(quantizeOp, { x, target }, { row: options.row ?? 0, dtype });
}

/** x [.., K] in a quantised dtype, by the rules of `quantize`. */
export function quantized(cmd: Recorder, x: Tensor, dtype: QuantizedDType): Tensor {
  return cmd.call1(quantizeOp, { x, target: undefined }, { row: 0, dtype });
}
