import { DTypeError } from "../../errors.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, formatSpec, sizeOf, type Tensor } from "../../tensor.ts";
import { fillVariant } from "./fill.wgsl.ts";
import { type RandomUniformInputs, type RandomUniformParams, uniformAt } from "./spec.ts";

export const randomUniformOp: Op<RandomUniformInputs, RandomUniformParams> = {
  name: "random-uniform",
  mutates: ["target"],
  infer({ target }) {
    if (target.dtype !== "f32" && target.dtype !== "f16") {
      throw new DTypeError(`random-uniform: takes f32 or f16, found ${formatSpec(target)}`);
    }
    return [];
  },
  variants: [fillVariant],
  reference({ target }, { range, mean, seed }) {
    target.data.forEach((_, i) => {
      target.data[i] = mean + range * uniformAt(i, seed);
    });
    return [];
  },
  cost: ({ target }) => ({ flops: 0, bytes: sizeOf(target.shape) * bytesPerElement(target.dtype) }),
};

/** Overwrites `target` with uniform values by seed: weights of a model that is on no disk. */
export function fillUniform(
  cmd: Recorder,
  target: Tensor,
  options: { seed: number; range?: number; mean?: number },
): void {
  const { seed, range = 1, mean = 0 } = options;
  cmd.call(randomUniformOp, { target }, { range, mean, seed });
}
