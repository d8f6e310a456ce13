import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { sizeOf } from "../../tensor.ts";
import { appendShape, type RopeAppendInputs, type RopeInputs, type RopeParams, ropeShape } from "./spec.ts";

/** Element `d` of the head that begins at `at`, rotated to `position`. Angles are f32 products, as transformers' are. */
function rotated(
  x: Float64Array,
  at: number,
  d: number,
  position: number,
  invFreq: Float64Array,
  scaling: number,
): number {
  const half = invFreq.length;
  const value = x[at + d] as number;
  if (d >= 2 * half) return value;
  const angle = Math.fround(position * (invFreq[d % half] as number));
  const [cos, sin] = [scaling * Math.cos(angle), scaling * Math.sin(angle)];
  return d < half
    ? value * cos - (x[at + d + half] as number) * sin
    : value * cos + (x[at + d - half] as number) * sin;
}

export function ropeReference(inputs: HostTensors<RopeInputs>, params: RopeParams): HostTensor[] {
  const { x, invFreq, start } = inputs;
  const { length, heads, size } = ropeShape(inputs, params);
  const out = new Float64Array(sizeOf(x.shape));
  for (let i = 0; i < out.length; i++) {
    const d = i % size;
    const row = Math.floor(i / (size * heads));
    const position = (start.data[Math.floor(row / length)] as number) + (row % length);
    out[i] = rotated(x.data, i - d, d, position, invFreq.data, params.attentionScaling);
  }
  return [hostResult(x.shape, out)];
}

/** Rows of a cache that would lie at or beyond its capacity are dropped. Nothing is rounded to the caches' dtype. */
export function ropeAppendReference(inputs: HostTensors<RopeAppendInputs>, params: RopeParams): HostTensor[] {
  const { qkv, invFreq, start, kCache, vCache } = inputs;
  const { batch, length, heads, kvHeads, size, capacity } = appendShape(inputs, params);
  /** `count` heads of every position, from `first` on. [B, T, count, D] */
  const headsOf = (first: number, count: number): HostTensor => {
    const shape = [batch, length, count, size];
    const data = Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
      const row = Math.floor(i / (count * size));
      return qkv.data[(row * (heads + 2 * kvHeads) + first) * size + (i % (count * size))] as number;
    });
    return hostResult(shape, data);
  };
  const rotate = (x: HostTensor) => ropeReference({ x, invFreq, start }, params)[0] as HostTensor;
  const k = rotate(headsOf(heads, kvHeads));
  const v = headsOf(heads + kvHeads, kvHeads);
  const width = kvHeads * size;
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < length; t++) {
      const position = (start.data[b] as number) + t;
      if (position >= capacity) continue;
      const from = (b * length + t) * width;
      const to = (b * capacity + position) * width;
      kCache.data.set(k.data.subarray(from, from + width), to);
      vCache.data.set(v.data.subarray(from, from + width), to);
    }
  }
  return [rotate(headsOf(0, heads))];
}
