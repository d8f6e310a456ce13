import { type HostTensor, hostResult } from "../../host-tensor.ts";
import { sizeOf } from "../../tensor.ts";
import { type ReduceKind, type ReduceParams, reducedShape } from "./spec.ts";

const start: Record<ReduceKind, number> = {
  sum: 0,
  mean: 0,
  max: Number.NEGATIVE_INFINITY,
  min: Number.POSITIVE_INFINITY,
};

const combine: Record<ReduceKind, (a: number, b: number) => number> = {
  sum: (a, b) => a + b,
  mean: (a, b) => a + b,
  max: Math.max,
  min: Math.min,
};

export function reduceReference({ x }: { x: HostTensor }, params: ReduceParams): HostTensor[] {
  const { kind } = params;
  const kept = reducedShape(x, { ...params, keepDims: true });
  const out = new Float64Array(sizeOf(kept)).fill(start[kind]);
  for (let i = 0; i < x.data.length; i++) {
    let rest = i;
    let at = 0;
    let stride = 1;
    for (let d = kept.length - 1; d >= 0; d--) {
      const size = x.shape[d] as number;
      if (kept[d] === size) at += (rest % size) * stride;
      stride *= kept[d] as number;
      rest = Math.floor(rest / size);
    }
    out[at] = combine[kind](out[at] as number, x.data[i] as number);
  }
  const count = x.data.length / Math.max(1, out.length);
  return [hostResult(reducedShape(x, params), kind === "mean" ? out.map((v) => v / count) : out)];
}
