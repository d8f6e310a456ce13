import { type Activation, erfc } from "../../activation.ts";
import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { ActivationDerivativeParams } from "./spec.ts";

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

/** d activation / dx in f64. */
export function activationDerivativeReference(activation: Activation): (x: number) => number {
  switch (activation) {
    case "none":
      return () => 1;
    case "relu":
      return (x) => (x > 0 ? 1 : 0);
    case "sigmoid":
      return (x) => sigmoid(x) * sigmoid(-x);
    case "silu":
      return (x) => sigmoid(x) * (1 + x * sigmoid(-x));
    case "quick_gelu":
      return (x) => sigmoid(1.702 * x) * (1 + 1.702 * x * sigmoid(-1.702 * x));
    case "gelu_tanh": {
      const c = Math.sqrt(2 / Math.PI);
      return (x) => {
        const t = Math.tanh(c * (x + 0.044715 * x ** 3));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x);
      };
    }
    case "gelu":
      return (x) => 0.5 * erfc(-x / Math.SQRT2) + (x * Math.exp((-x * x) / 2)) / Math.sqrt(2 * Math.PI);
  }
}

export function referenceOf({ x }: { x: HostTensor }, params: ActivationDerivativeParams): HostTensor[] {
  return [hostResult(x.shape, x.data.map(activationDerivativeReference(params.activation)))];
}
