import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { flatPart, flatRange, type MapDiceInputs, type MapDiceParams, mapDiceShape } from "./spec.ts";

interface Tap {
  readonly at: number;
  readonly weight: number;
}

/** The taps of every pixel along an axis: upsampling by `patch`, borders repeated. */
function axisTaps(size: number, patch: number): Tap[][] {
  return Array.from({ length: size * patch }, (_, i) => {
    const p = Math.max(0, (i + 0.5) / patch - 0.5);
    const low = Math.min(Math.floor(p), size - 1);
    if (low + 1 >= size) return [{ at: size - 1, weight: 1 }];
    return [
      { at: low, weight: 1 - (p - low) },
      { at: low + 1, weight: p - low },
    ];
  });
}

/** By the definition: every pixel of the upsampled map is formed. */
export function mapDiceReference(inputs: HostTensors<MapDiceInputs>, params: MapDiceParams): HostTensor[] {
  const { masks, patches } = mapDiceShape(inputs, params);
  const { rows, columns, patch, scale } = params;
  const [dice, maps, gradient] = [
    new Float64Array(masks),
    new Float64Array(masks * patches),
    new Float64Array(masks * (1 + patches)),
  ];
  const [down, across] = [axisTaps(rows, patch), axisTaps(columns, patch)];
  for (let m = 0; m < masks; m++) {
    const r = inputs.relevance.data.subarray(m * (1 + patches) + 1, (m + 1) * (1 + patches));
    const k = inputs.coverage.data.subarray(m * patches, (m + 1) * patches);
    const area = inputs.area.data;
    let low = { value: Number.POSITIVE_INFINITY, taps: [] as Tap[] };
    let high = { value: Number.NEGATIVE_INFINITY, taps: [] as Tap[] };
    for (const y of down) {
      for (const x of across) {
        const taps = y.flatMap((a) =>
          x.map((b) => ({ at: a.at * columns + b.at, weight: a.weight * b.weight })),
        );
        const value = taps.reduce((sum, t) => sum + t.weight * (r[t.at] as number), 0);
        if (value < low.value) low = { value, taps };
        if (value > high.value) high = { value, taps };
      }
    }
    const range = high.value - low.value;
    const flat = !(
      range > Math.max(flatRange, flatPart * Math.max(Math.abs(low.value), Math.abs(high.value)))
    );
    const map = r.map((v) => (flat ? 0 : (v - low.value) / range));
    const dot = (a: Float64Array, b: Float64Array) => a.reduce((s, v, i) => s + v * (b[i] as number), 0);
    const [inter, total] = [dot(map, k), dot(map, area)];
    const [size, pixels] = [k.reduce((a, b) => a + b, 0), area.reduce((a, b) => a + b, 0)];
    const denominator = total + size + 1;
    dice[m] = 1 - (2 * inter + 1) / denominator;
    maps.set(map, m * patches);
    if (flat) continue;
    const a = -2 / denominator;
    const b = (2 * inter + 1) / denominator ** 2;
    const g = gradient.subarray(m * (1 + patches) + 1, (m + 1) * (1 + patches));
    for (let p = 0; p < patches; p++) g[p] = a * (k[p] as number) + b * (area[p] as number);
    const along = a * inter + b * total;
    const onHigh = -along;
    const onLow = along - (a * size + b * pixels);
    for (const t of high.taps) g[t.at] = (g[t.at] as number) + onHigh * t.weight;
    for (const t of low.taps) g[t.at] = (g[t.at] as number) + onLow * t.weight;
    for (let p = 0; p < patches; p++) g[p] = ((g[p] as number) * scale) / range;
  }
  return [
    hostResult([masks], dice),
    hostResult([masks, patches], maps),
    hostResult([masks, 1 + patches], gradient),
  ];
}
