import { type HostTensor, hostResult } from "../../host-tensor.ts";
import type { HostTensors } from "../../op.ts";
import { mostSamples, type RoiAlignInputs, type RoiAlignParams, roiAlignShape } from "./spec.ts";

/** Start, bin size and samples a bin of a box along one axis. */
function axisOf(low: number, high: number, bins: number, size: number, params: RoiAlignParams) {
  const { spatialScale, samplingRatio, aligned } = params;
  const start = low * spatialScale - (aligned ? 0.5 : 0);
  const length = high * spatialScale - (aligned ? 0.5 : 0) - start;
  const bin = (aligned ? length : Math.max(length, 1)) / bins;
  const samples = samplingRatio || Math.min(mostSamples(size), Math.max(0, Math.ceil(bin)));
  return { start, bin, samples };
}

/** The two pixels that a position lies between, with their weights; none where it is more than a pixel outside. */
function tapsAt(position: number, size: number): [number, number][] {
  if (position < -1 || position > size) return [];
  const p = Math.max(position, 0);
  const low = Math.floor(p);
  if (low >= size - 1) return [[size - 1, 1]];
  return [
    [low, 1 - (p - low)],
    [low + 1, p - low],
  ];
}

export function roiAlignReference(
  { features, boxes }: HostTensors<RoiAlignInputs>,
  params: RoiAlignParams,
): HostTensor[] {
  const { n, c, h, w, boxes: count, oh, ow } = roiAlignShape({ features, boxes }, params);
  const out = new Float64Array(count * c * oh * ow);
  for (let r = 0; r < count; r++) {
    const [image, x0, y0, x1, y1] = boxes.data.slice(r * 5, r * 5 + 5) as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    if (!(image >= 0 && image < n)) continue;
    const rows = axisOf(y0, y1, oh, h, params);
    const columns = axisOf(x0, x1, ow, w, params);
    for (let channel = 0; channel < c; channel++) {
      const plane = (Math.trunc(image) * c + channel) * h;
      for (let py = 0; py < oh; py++) {
        for (let px = 0; px < ow; px++) {
          let sum = 0;
          for (let i = 0; i < rows.samples; i++) {
            const ys = tapsAt(rows.start + (py + (i + 0.5) / rows.samples) * rows.bin, h);
            for (let j = 0; j < columns.samples; j++) {
              const xs = tapsAt(columns.start + (px + (j + 0.5) / columns.samples) * columns.bin, w);
              for (const [iy, wy] of ys)
                for (const [ix, wx] of xs) sum += wy * wx * (features.data[(plane + iy) * w + ix] as number);
            }
          }
          out[((r * c + channel) * oh + py) * ow + px] = sum / Math.max(1, rows.samples * columns.samples);
        }
      }
    }
  }
  return [hostResult([count, c, oh, ow], out)];
}
