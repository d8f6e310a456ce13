import type { HostArray } from "./device.ts";
import { formatSpec, type TensorSpec } from "./tensor.ts";

/**
 * How far two kernels of one op may differ, as a part of an element plus the root mean square of all: twice the widest
 * tolerance that any op is tested with (a product of K = 16384), since both may err. An f16 may round to either neighbour.
 * Rounding an operand to f16 where the other kernel does not is beyond it.
 */
const closeness = (dtype: string): number => (dtype === "f16" ? 2 ** -10 : 1e-4);

/**
 * What `actual` has that `expected`, the same tensor by another kernel, has not; undefined where they agree within rounding.
 * Integers have to be equal, and NaNs and infinities to stand at the same places.
 */
export function disagreement(spec: TensorSpec, actual: HostArray, expected: HostArray): string | undefined {
  const integers = spec.dtype === "i32" || spec.dtype === "u32";
  const part = integers ? 0 : closeness(spec.dtype);
  const size = part * rootMeanSquare(expected);
  for (const [i, e] of expected.entries()) {
    const a = actual[i] as number;
    if (Object.is(a, e) || (Number.isFinite(e) && Math.abs(a - e) <= size + part * Math.abs(e))) continue;
    return `element ${i} of ${formatSpec(spec)} is ${a} instead of ${e}`;
  }
  return undefined;
}

/** Of those that are finite. */
function rootMeanSquare(values: HostArray): number {
  let sum = 0;
  let count = 0;
  for (const v of values) {
    if (!Number.isFinite(v)) continue;
    sum += v * v;
    count++;
  }
  return count ? Math.sqrt(sum / count) : 0;
}
