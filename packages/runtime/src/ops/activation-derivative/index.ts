import type { Activation } from "../../activation.ts";
import { DTypeError } from "../../errors.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { flatVariant } from "./flat.wgsl.ts";
import { referenceOf } from "./reference.ts";
import type { ActivationDerivativeInputs, ActivationDerivativeParams } from "./spec.ts";

export const activationDerivativeOp: Op<ActivationDerivativeInputs, ActivationDerivativeParams> = {
  name: "activation-derivative",
  infer({ x }) {
    if (x.dtype !== "f32") throw new DTypeError(`activationDerivative: x is ${formatSpec(x)}; takes f32`);
    return [{ shape: x.shape, dtype: "f32" }];
  },
  variants: [flatVariant],
  reference: referenceOf,
  cost: ({ x }) => ({ flops: 10 * sizeOf(x.shape), bytes: 8 * sizeOf(x.shape) }),
};

/** The slope of an activation at x, elementwise. Any shape, f32. */
export function activationDerivative(cmd: Recorder, x: Tensor, activation: Activation): Tensor {
  return cmd.call1(activationDerivativeOp, { x }, { activation });
}
