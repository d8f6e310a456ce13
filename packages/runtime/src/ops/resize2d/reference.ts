import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import {
  cubicCoefficient,
  filterRadius,
  type Resize2dInputs,
  type Resize2dParams,
  resize2dShape,
} from "./spec.ts";

/** Input positions and weights of one output position along one axis. */
type Taps = readonly { readonly at: number; readonly weight: number }[];

/** The filters, independent of how the kernels arrange them: triangle, and Keys' cubic convolution. */
function filter(d: number, { mode, antialias }: Resize2dParams): number {
  const x = Math.abs(d);
  if (mode === "bilinear") return Math.max(0, 1 - x);
  const a = cubicCoefficient(antialias);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : 0;
}

function tapsOf(i: number, from: number, to: number, params: Resize2dParams): Taps {
  const { mode, antialias, alignCorners } = params;
  // torch computes nearest positions in f32, and what it rounds up is part of the answer
  if (mode === "nearest")
    return [{ at: Math.min(from - 1, Math.floor(Math.fround(i * Math.fround(from / to)))), weight: 1 }];
  const ratio = alignCorners ? (to > 1 ? (from - 1) / (to - 1) : 0) : from / to;
  if (!antialias) {
    const position = alignCorners ? i * ratio : (i + 0.5) * ratio - 0.5;
    const first = Math.floor(position) - filterRadius(mode) + 1;
    return Array.from({ length: 2 * filterRadius(mode) }, (_, t) => ({
      at: Math.min(from - 1, Math.max(0, first + t)),
      weight: filter(position - (first + t), params),
    }));
  }
  const scale = Math.max(1, ratio);
  const centre = (i + 0.5) * ratio;
  const support = filterRadius(mode) * scale;
  const taps: { at: number; weight: number }[] = [];
  for (let at = 0; at < from; at++) {
    const d = at + 0.5 - centre;
    if (Math.abs(d) < support) taps.push({ at, weight: filter(d / scale, params) });
  }
  const total = taps.reduce((sum, { weight }) => sum + weight, 0);
  return taps.map(({ at, weight }) => ({ at, weight: weight / total }));
}

export function resize2dReference({ x }: HostTensors<Resize2dInputs>, params: Resize2dParams): HostTensor[] {
  const { planes, h, w, oh, ow } = resize2dShape({ x }, params);
  const rows = Array.from({ length: oh }, (_, i) => tapsOf(i, h, oh, params));
  const columns = Array.from({ length: ow }, (_, i) => tapsOf(i, w, ow, params));
  const out = new Float64Array(planes * oh * ow);
  let at = 0;
  for (let plane = 0; plane < planes; plane++) {
    for (const row of rows) {
      for (const column of columns) {
        let sum = 0;
        for (const r of row)
          for (const c of column)
            sum += r.weight * c.weight * (x.data[(plane * h + r.at) * w + c.at] as number);
        out[at++] = sum;
      }
    }
  }
  return [hostResult([x.shape[0] as number, x.shape[1] as number, oh, ow], out)];
}
