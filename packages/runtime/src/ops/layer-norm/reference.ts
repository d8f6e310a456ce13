import { type HostTensor, hostResult } from "../../host-tensor.ts";

/** Mean (or 0) and 1/sqrt(mean square + eps) of the values at `index(0..n-1)`, in f64. */
export function statistics(
  data: Float64Array,
  n: number,
  index: (i: number) => number,
  eps: number,
  centred: boolean,
): { mean: number; scale: number } {
  let mean = 0;
  if (centred) {
    for (let i = 0; i < n; i++) mean += data[index(i)] as number;
    mean /= n;
  }
  let square = 0;
  for (let i = 0; i < n; i++) square += ((data[index(i)] as number) - mean) ** 2;
  return { mean, scale: 1 / Math.sqrt(square / n + eps) };
}

/** Rows of the last axis, normalised. */
export function rowNormReference(
  x: HostTensor,
  weight: HostTensor,
  bias: HostTensor | undefined,
  eps: number,
  centred: boolean,
): HostTensor[] {
  const width = x.shape.at(-1) ?? 1;
  const out = new Float64Array(x.data.length);
  for (let base = 0; base < out.length; base += width) {
    const { mean, scale } = statistics(x.data, width, (i) => base + i, eps, centred);
    for (let i = 0; i < width; i++) {
      const v = ((x.data[base + i] as number) - mean) * scale;
      out[base + i] = v * (weight.data[i] as number) + (bias ? (bias.data[i] as number) : 0);
    }
  }
  return [hostResult(x.shape, out)];
}
