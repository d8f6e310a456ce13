import type { Activation } from "../../activation.ts";
import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import { activationDerivativeOp } from "./index.ts";
import type { ActivationDerivativeInputs, ActivationDerivativeParams } from "./spec.ts";

const activations: Activation[] = ["none", "relu", "gelu", "gelu_tanh", "quick_gelu", "silu", "sigmoid"];

/** Where the exponentials overflow or vanish. */
const corners = [0, -0, 1e-30, -1e-4, 3, -3, 9, -9, 20, -20, 88, -88, 150, -150, 1e4, -1e4];

function derivativeCase(
  activation: Activation,
): OpCase<ActivationDerivativeInputs, ActivationDerivativeParams> {
  return {
    name: activation,
    params: { activation },
    inputs: (r) => {
      const random = r.normals([7 * 37], { scale: 2.5 });
      return { x: hostTensor([random.data.length + corners.length], "f32", [...random.data, ...corners]) };
    },
    // two or three exponentials of 2 ulp, and products of their arguments' rounding; slopes are at most 1.2
    tolerance: { abs: 2e-6, rel: 4e-6 },
  };
}

export const activationDerivativeSuite = suite(activationDerivativeOp, activations.map(derivativeCase));
