import { type Activation, activationWgsl } from "../../activation.ts";
import { type BindingDecl, read } from "../../kernel.ts";
import { wgsl } from "../../wgsl.ts";

/** What a convolution does to its sums before it stores them. */
export interface Epilogue {
  readonly activation: Activation;
  readonly bias: boolean;
  readonly residual: boolean;
  /** See Conv2dParams. */
  readonly addFirst: boolean;
}

export function epilogueBindings({
  bias,
  residual,
}: Epilogue): Record<"bias" | "residual", BindingDecl | undefined> {
  return { bias: bias ? read("f32") : undefined, residual: residual ? read("f32") : undefined };
}

/** WGSL `fn finish(sum: f32, channel: u32, at: u32) -> f32`, where `at` is the element that is stored. */
export function epilogueWgsl({ activation, bias, residual, addFirst }: Epilogue): string {
  return wgsl`
${activationWgsl(activation)}
fn finish(sum: f32, channel: u32, at: u32) -> f32 {
  var v = sum;
#if ${bias}
  v += bias[channel];
#endif
#if ${residual && addFirst}
  v += residual[at];
#endif
  v = activate(v);
#if ${residual && !addFirst}
  v += residual[at];
#endif
  return v;
}`;
}
