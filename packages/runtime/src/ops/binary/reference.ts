import { type HostTensor, hostResult } from "../../host-tensor.ts";
import { sizeOf } from "../../tensor.ts";
import type { BinaryKind, BinaryParams } from "./spec.ts";
import { broadcastShapes, broadcastStrides } from "./spec.ts";

const apply: Record<BinaryKind, (a: number, b: number) => number> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  max: Math.max,
  min: Math.min,
};

export function binaryReference(
  { a, b }: { a: HostTensor; b: HostTensor },
  { kind }: BinaryParams,
): HostTensor[] {
  const shape = broadcastShapes(a.shape, b.shape);
  const sa = broadcastStrides(a.shape, shape);
  const sb = broadcastStrides(b.shape, shape);
  const out = new Float64Array(sizeOf(shape));
  for (let i = 0; i < out.length; i++) {
    let rest = i;
    let ia = 0;
    let ib = 0;
    for (let d = shape.length - 1; d >= 0; d--) {
      const size = shape[d] as number;
      const at = rest % size;
      rest = (rest - at) / size;
      ia += at * (sa[d] as number);
      ib += at * (sb[d] as number);
    }
    out[i] = apply[kind](a.data[ia] as number, b.data[ib] as number);
  }
  return [hostResult(shape, out)];
}
