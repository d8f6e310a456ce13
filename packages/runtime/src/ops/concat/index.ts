import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { Op, Variant } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { bytesPerElement, sizeOf, type Tensor } from "../../tensor.ts";
import { stridedCopy } from "../permute/strided-copy.wgsl.ts";
import { type ConcatInputs, type ConcatParams, concatSpec } from "./spec.ts";

/** One copy a tensor: `outer` blocks of its own length, spread to the joined length. */
const stridedVariant: Variant<ConcatInputs, ConcatParams> = {
  name: "strided",
  supports: () => true,
  build({ inputs, outputs, params, caps }) {
    const dst = outputs[0] as Tensor;
    const { axis } = concatSpec(Object.values(inputs), params);
    const block = sizeOf(dst.shape.slice(axis));
    let dstStart = 0;
    return Object.values(inputs).flatMap((src) => {
      const own = sizeOf(src.shape.slice(axis));
      const axes = [
        { size: sizeOf(src.shape.slice(0, axis)), src: own, dst: block },
        { size: own, src: 1, dst: 1 },
      ];
      const copies = stridedCopy({ src, dst, srcStart: 0, dstStart, axes }, caps);
      dstStart += own;
      return copies;
    });
  },
};

function concatReference(inputs: Readonly<Record<string, HostTensor>>, params: ConcatParams): HostTensor[] {
  const parts = Object.values(inputs);
  const { axis, spec } = concatSpec(parts, params);
  const data: number[] = [];
  for (let outer = 0; outer < sizeOf(spec.shape.slice(0, axis)); outer++) {
    for (const part of parts) {
      const own = sizeOf(part.shape.slice(axis));
      for (let i = 0; i < own; i++) data.push(part.data[outer * own + i] as number);
    }
  }
  return [hostResult(spec.shape, Float64Array.from(data), spec.dtype)];
}

export const concatOp: Op<ConcatInputs, ConcatParams> = {
  name: "concat",
  infer: (inputs, params) => [concatSpec(Object.values(inputs), params).spec],
  variants: [stridedVariant],
  reference: concatReference,
  cost: (_, [y]) => ({ flops: 0, bytes: y ? 2 * sizeOf(y.shape) * bytesPerElement(y.dtype) : 0 }),
};

/**
 * Joins tensors along an axis (negative: from the end). Any dtype, all the same; other axes equal. f16 needs runs of even
 * length, as halves are copied in pairs (DTypeError otherwise).
 */
export function concat(cmd: Recorder, tensors: readonly Tensor[], axis: number): Tensor {
  const inputs = Object.fromEntries(tensors.map((t, i) => [`x${i}`, t]));
  return cmd.call1(concatOp, inputs, { axis });
}
