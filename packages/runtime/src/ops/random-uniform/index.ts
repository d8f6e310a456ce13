import { DTypeError } from "../../errors.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { dataBytes, formatSpec, type Tensor } from "../../tensor.ts";
import { fillVariant } from "./fill.wgsl.ts";
import { quantsVariant } from "./quants.wgsl.ts";
import { randomUniformReference } from "./reference.ts";
import type { RandomUniformInputs, RandomUniformParams } from "./spec.ts";

export const randomUniformOp: Op<RandomUniformInputs, RandomUniformParams> = {
  name: "random-uniform",
  mutates: ["target"],
  infer({ target }, { mean }) {
    if (target.dtype === "i32" || target.dtype === "u32")
      throw new DTypeError(
        `random-uniform: takes f32, f16 or a quantised dtype, found ${formatSpec(target)}`,
      );
    if (mean !== 0 && (target.dtype === "q8_0" || target.dtype === "q4_0"))
      throw new DTypeError(`random-uniform: ${formatSpec(target)} is symmetric, found a mean of ${mean}`);
    return [];
  },
  variants: [fillVariant, quantsVariant],
  reference: randomUniformReference,
  cost: ({ target }) => ({ flops: 0, bytes: dataBytes(target) }),
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
