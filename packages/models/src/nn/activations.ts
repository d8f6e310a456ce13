import type { Activation } from "@mask-llava/runtime";
import { z } from "zod";

const names = {
  gelu: "gelu",
  gelu_new: "gelu_tanh",
  gelu_pytorch_tanh: "gelu_tanh",
  quick_gelu: "quick_gelu",
  relu: "relu",
  silu: "silu",
  swish: "silu",
  sigmoid: "sigmoid",
} as const satisfies Record<string, Activation>;

/** Hugging Face's `hidden_act` names, as the runtime's activations. */
export const activationSchema = z
  .enum(Object.keys(names) as [keyof typeof names, ...(keyof typeof names)[]])
  .transform((name): Activation => names[name]);
