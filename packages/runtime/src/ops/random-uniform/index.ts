import { hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, type Shape, sizeOf, type Tensor } from "../../tensor.ts";
import { fillVariant } from "./fill.wgsl.ts";
import { type RandomUniformInputs, type RandomUniformParams, uniformAt } from "./spec.ts";

export const randomUniformOp: Op<RandomUniformInputs, RandomUniformParams> = {
  name: "random-uniform",
  infer: (_, { shape, dtype }) => [{ shape, dtype }],
  variants: [fillVariant],
  reference(_, { shape, range, mean, seed, dtype }) {
    const data = Float64Array.from({ length: sizeOf(shape) }, (__, i) => mean + range * uniformAt(i, seed));
    return [hostResult(shape, data, dtype)];
  },
  cost: (_, __, { shape, dtype }) => ({ flops: 0, bytes: sizeOf(shape) * bytesPerElement(dtype) }),
};

/** Uniform values by seed, made on the GPU: weights of a model that is on no disk. Up to 2^32 elements are distinct. */
export function randomUniform(
  cmd: Recorder,
  shape: Shape,
  options: { seed: number; range?: number; mean?: number; dtype?: "f32" | "f16" },
): Tensor {
  const { seed, range = 1, mean = 0, dtype = "f32" } = options;
  return cmd.call1(randomUniformOp, {}, { shape, dtype, range, mean, seed });
}
