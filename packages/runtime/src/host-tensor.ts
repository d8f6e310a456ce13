import { roundToFloat16 } from "./float16.ts";
import { isQuantized } from "./quantized.ts";
import { dequantizeHost, quantizeHost } from "./quantized-host.ts";
import { type DType, type Shape, sizeOf, type TensorSpec } from "./tensor.ts";

/** A tensor on the host in f64, as op references compute it: values are those the GPU sees (rounded to `dtype`). */
export interface HostTensor extends TensorSpec {
  readonly data: Float64Array;
  /** Of a quantised tensor: the bytes that stand for `data`, as several may. */
  readonly packed?: Uint8Array<ArrayBuffer>;
}

/** Rounds `data` to what `dtype` can hold. */
export function hostTensor(shape: Shape, dtype: DType, data: ArrayLike<number>): HostTensor {
  const n = sizeOf(shape);
  if (data.length !== n)
    throw new RangeError(`hostTensor: ${data.length} values for shape [${shape.join(", ")}]`);
  if (isQuantized(dtype)) {
    const packed = quantizeHost(data, shape, dtype);
    return { shape, dtype, packed, data: Float64Array.from(dequantizeHost(packed, shape, dtype)) };
  }
  const out = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    const v = data[i] as number;
    if (dtype === "f32") out[i] = Math.fround(v);
    else if (dtype === "f16") out[i] = roundToFloat16(v);
    else out[i] = dtype === "u32" ? v >>> 0 : v | 0;
  }
  return { shape, dtype, data: out };
}

/** An f64 result that is not rounded, for references. */
export function hostResult(shape: Shape, data: Float64Array, dtype: DType = "f32"): HostTensor {
  return { shape, dtype, data };
}
