import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, sizeOf, type Tensor } from "../../tensor.ts";
import { contiguousStrides, stridedCopy } from "../permute/strided-copy.wgsl.ts";
import { type SliceInputs, type SliceParams, slicedShape } from "./spec.ts";

const stridedVariant: Variant<SliceInputs, SliceParams> = {
  name: "strided",
  supports: () => true,
  build({ inputs: { x }, outputs, params, caps }) {
    const shape = slicedShape(x, params);
    const src = contiguousStrides(x.shape);
    const dst = contiguousStrides(shape);
    const srcStart = src.reduce((sum, stride, i) => sum + stride * (params.starts[i] as number), 0);
    const axes = shape.map((size, i) => ({ size, src: src[i] as number, dst: dst[i] as number }));
    return stridedCopy({ src: x, dst: outputs[0] as Tensor, srcStart, dstStart: 0, axes }, caps);
  },
};

function sliceReference({ x }: { x: HostTensor }, params: SliceParams): HostTensor[] {
  const shape = slicedShape(x, params);
  const strides = contiguousStrides(x.shape);
  const out = new Float64Array(sizeOf(shape));
  for (let i = 0; i < out.length; i++) {
    let rest = i;
    let from = 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      const size = shape[d] as number;
      from += ((params.starts[d] as number) + (rest % size)) * (strides[d] as number);
      rest = Math.floor(rest / size);
    }
    out[i] = x.data[from] as number;
  }
  return [hostResult(shape, out, x.dtype)];
}

export const sliceOp: Op<SliceInputs, SliceParams> = {
  name: "slice",
  infer: ({ x }, params) => [{ shape: slicedShape(x, params), dtype: x.dtype }],
  variants: [stridedVariant],
  reference: sliceReference,
  cost: ({ x }, [y]) => ({ flops: 0, bytes: 2 * sizeOf(y?.shape ?? []) * bytesPerElement(x.dtype) }),
};

/** x[starts[0]:ends[0], starts[1]:ends[1], …], copied. One start and end an axis, none negative. Any dtype. */
export function slice(cmd: Recorder, x: Tensor, starts: readonly number[], ends: readonly number[]): Tensor {
  return cmd.call1(sliceOp, { x }, { starts, ends });
}
