import { deformableAttentionOp, hostTensor, maskPoolOp, roiAlignOp } from "@mask-llava/runtime";
import type { Size } from "../common/sizes.ts";
import { type KernelCase, kernelCase, uniform } from "./cases.ts";
import { FastRandom } from "./fast-random.ts";

type Pair = readonly [number, number];

/** Deformable DETR's encoder on an 800x1333 picture: every one of the 22,223 pixels of four levels is a query. */
function deformable(size: Size): KernelCase {
  const side = { tiny: 8, small: 2, real: 1 }[size];
  const real: Pair[] = [
    [100, 167],
    [50, 84],
    [25, 42],
    [13, 21],
  ];
  const levels = real.map(([h, w]): Pair => [Math.ceil(h / side), Math.ceil(w / side)]);
  const pixels = levels.reduce((sum, [h, w]) => sum + h * w, 0);
  const [heads, d, points] = [8, 32, 4];
  const longest = Math.max(...levels.flat());
  return kernelCase(
    deformableAttentionOp,
    `DETR ${pixels} queries, levels ${levels.map((l) => l.join("x"))}`,
    {
      params: { levels, softmax: true },
      // a position of up to `longest` pixels carries rounding of longest·2^-24, times a slope of up to 6 between neighbours
      tolerance: { abs: 6 * 6e-8 * longest, rel: 4e-6 },
      inputs: () => ({
        value: uniform([1, pixels, heads, d]),
        // a tenth of them outside on either side
        locations: uniform([1, pixels, heads, levels.length, points, 2], {
          mean: 0.5,
          deviation: 0.6 / Math.sqrt(3),
        }),
        weights: uniform([1, pixels, heads, levels.length * points]),
      }),
    },
  );
}

/** 100 boxes on a feature map of stride 16, as a two-stage detector pools them. */
function pooledBoxes(size: Size): KernelCase {
  const [channels, boxes] = { tiny: [16, 25], small: [256, 100], real: [256, 100] }[size] as [number, number];
  const [h, w] = [50, 64];
  return kernelCase(roiAlignOp, `[1, ${channels}, ${h}, ${w}], ${boxes} boxes to 7x7`, {
    params: { outputSize: [7, 7], spatialScale: 1 / 16, samplingRatio: 2, aligned: true },
    // a few roundings of positions of up to 64 pixels, times a slope of up to 6
    tolerance: { abs: 3 * 64 * 6 * 6e-8, rel: 4e-6 },
    inputs: () => {
      const random = new FastRandom(3);
      const rows = Array.from({ length: boxes }, () => {
        const [x, y] = [random.uniform() * w * 12, random.uniform() * h * 12];
        return [0, x, y, x + (1 + random.uniform() * 20) * 12, y + (1 + random.uniform() * 20) * 12];
      });
      return {
        features: uniform([1, channels, h, w]),
        boxes: hostTensor([boxes, 5], "f32", rows.flat()),
      };
    },
  });
}

/** Mask-LLaVA's pooling of 24x24 patches by 30 masks. */
function pooledMasks(size: Size): KernelCase {
  const d = { tiny: 64, small: 1024, real: 1024 }[size];
  return kernelCase(maskPoolOp, `[576, ${d}], 30 masks`, {
    params: null,
    // a mean of T values of size 1: rounding grows at most like sqrt(T)·2^-24 of their size
    tolerance: { abs: 2e-7 * 24, rel: 2e-6 },
    inputs: () => ({
      features: uniform([576, d]),
      masks: uniform([30, 24, 24], { mean: 0.5, deviation: 0.5 / Math.sqrt(3) }),
    }),
  });
}

/** What looks features up at places of a picture. */
export function placeCases(size: Size): KernelCase[] {
  return [deformable(size), pooledBoxes(size), pooledMasks(size)];
}
