import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { Op } from "../../op.ts";
import type { Recorder } from "../../recorder.ts";
import { sizeOf, type Tensor } from "../../tensor.ts";
import { selectVariant } from "./select.wgsl.ts";
import { checkTopK, type TopKInputs, type TopKParams } from "./spec.ts";

function topKReference({ x }: { x: HostTensor }, { k }: TopKParams): HostTensor[] {
  const width = x.shape.at(-1) as number;
  const rows = x.data.length / width;
  const values = new Float64Array(rows * k);
  const indices = new Float64Array(rows * k);
  // NaN counts as the largest
  const rank = (v: number) => (Number.isNaN(v) ? [1, 0] : [0, v]) as [number, number];
  for (let row = 0; row < rows; row++) {
    const data = x.data.subarray(row * width, (row + 1) * width);
    const order = Array.from(data.keys()).sort((a, b) => {
      const [na, va] = rank(data[a] as number);
      const [nb, vb] = rank(data[b] as number);
      if (na !== nb) return nb - na;
      return va === vb ? a - b : vb > va ? 1 : -1;
    });
    for (let i = 0; i < k; i++) {
      values[row * k + i] = data[order[i] as number] as number;
      indices[row * k + i] = order[i] as number;
    }
  }
  const shape = [...x.shape.slice(0, -1), k];
  return [hostResult(shape, values), hostResult(shape, indices, "u32")];
}

export const topKOp: Op<TopKInputs, TopKParams> = {
  name: "top-k",
  infer({ x }, params) {
    checkTopK(x, params);
    const shape = [...x.shape.slice(0, -1), params.k];
    return [
      { shape, dtype: "f32" },
      { shape, dtype: "u32" },
    ];
  },
  variants: [selectVariant],
  reference: topKReference,
  cost: ({ x }) => ({ flops: sizeOf(x.shape), bytes: 4 * sizeOf(x.shape) }),
};

/**
 * The k largest along the last axis, in descending order; of equal ones the lower index comes first, and NaN counts as
 * the largest. x [.., V] f32, k up to 1024 -> values f32 [.., k], indices u32 [.., k].
 */
export function topK(cmd: Recorder, x: Tensor, k: number): [values: Tensor, indices: Tensor] {
  return cmd.call(topKOp, { x }, { k }) as [Tensor, Tensor];
}
