import { ShapeError } from "../../errors.ts";
import { formatShape, type Shape, type TensorSpec } from "../../tensor.ts";

export type BinaryKind = "add" | "sub" | "mul" | "div" | "max" | "min";
export interface BinaryInputs {
  readonly a: TensorSpec;
  readonly b: TensorSpec;
}
export interface BinaryParams {
  readonly kind: BinaryKind;
}

/** NumPy's broadcasting rule. */
export function broadcastShapes(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const da = a[a.length - rank + i] ?? 1;
    const db = b[b.length - rank + i] ?? 1;
    if (da !== db && da !== 1 && db !== 1) {
      throw new ShapeError(`binary: ${formatShape(a)} and ${formatShape(b)} do not broadcast`);
    }
    return da === 1 ? db : da;
  });
}

/** Element strides of a contiguous `shape` seen as the broadcast shape `to`: 0 along axes that are repeated. */
export function broadcastStrides(shape: Shape, to: Shape): number[] {
  const strides: number[] = new Array(to.length).fill(0);
  let stride = 1;
  for (let i = 1; i <= shape.length; i++) {
    const d = shape[shape.length - i] as number;
    if (d !== 1) strides[to.length - i] = stride;
    stride *= d;
  }
  return strides;
}
