import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, sizeOf, type Tensor } from "../../tensor.ts";
import { type PermuteInputs, type PermuteParams, permutedShape } from "./spec.ts";
import { contiguousStrides, stridedCopy } from "./strided-copy.wgsl.ts";
import { permuteAxes, transposeVariant } from "./transpose.wgsl.ts";

const stridedVariant: Variant<PermuteInputs, PermuteParams> = {
  name: "strided",
  supports: () => true,
  build: ({ inputs: { x }, outputs, params, caps }) =>
    stridedCopy(
      { src: x, dst: outputs[0] as Tensor, srcStart: 0, dstStart: 0, axes: permuteAxes(x, params.axes) },
      caps,
    ),
};

function permuteReference({ x }: { x: HostTensor }, { axes }: PermuteParams): HostTensor[] {
  const shape = permutedShape(x, axes);
  const strides = contiguousStrides(x.shape);
  const out = new Float64Array(x.data.length);
  for (let i = 0; i < out.length; i++) {
    let rest = i;
    let from = 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      const size = shape[d] as number;
      from += (rest % size) * (strides[axes[d] as number] as number);
      rest = Math.floor(rest / size);
    }
    out[i] = x.data[from] as number;
  }
  return [hostResult(shape, out, x.dtype)];
}

export const permuteOp: Op<PermuteInputs, PermuteParams> = {
  name: "permute",
  infer: ({ x }, { axes }) => [{ shape: permutedShape(x, axes), dtype: x.dtype }],
  variants: [transposeVariant, stridedVariant],
  reference: permuteReference,
  cost: ({ x }) => ({ flops: 0, bytes: 2 * sizeOf(x.shape) * bytesPerElement(x.dtype) }),
};

/** Reorders axes as torch.permute: output axis i is input axis `axes[i]`. Any dtype; at most 6 axes that do not merge. */
export function permute(cmd: Recorder, x: Tensor, axes: readonly number[]): Tensor {
  return cmd.call1(permuteOp, { x }, { axes });
}
