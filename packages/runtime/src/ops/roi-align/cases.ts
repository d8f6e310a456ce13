import { type HostTensor, hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { Random } from "../../random.ts";
import type { Shape } from "../../tensor.ts";
import type { Pair } from "../conv2d/spec.ts";
import { roiAlignOp } from "./index.ts";
import type { RoiAlignInputs, RoiAlignParams } from "./spec.ts";

/** Boxes of all sizes in and about images of h x w input pixels; the last two have no image and a tiny extent. */
function boxesOf(random: Random, count: number, images: number, h: number, w: number): HostTensor {
  const rows = Array.from({ length: count }, (_, i) => {
    const [x0, y0] = [(1.3 * random.uniform() - 0.3) * w, (1.3 * random.uniform() - 0.3) * h];
    const box = [i % images, x0, y0, x0 + random.uniform() * w, y0 + random.uniform() * h];
    if (i === count - 1) return [images, 0, 0, 3, 3];
    return i === count - 2 ? [0, x0, y0, x0 + 0.31, y0 + 0.23] : box;
  });
  return hostTensor([count, 5], "f32", rows.flat());
}

function roiAlignCase(
  features: Shape,
  count: number,
  params: RoiAlignParams,
  benchOnly = false,
): OpCase<RoiAlignInputs, RoiAlignParams> {
  const [n, , h, w] = features as [number, number, number, number];
  const { outputSize, spatialScale, samplingRatio, aligned } = params;
  return {
    name: `${JSON.stringify(features)} ${count} boxes to ${outputSize} x${spatialScale} ratio ${samplingRatio}${aligned ? " aligned" : ""}`,
    params,
    inputs: (r) => ({
      features: r.normals(features),
      boxes: boxesOf(r, count, n, h / spatialScale, w / spatialScale),
    }),
    // positions of up to 64 pixels carry a few roundings of 64·2^-24, times a slope of up to about 6 between neighbours
    tolerance: { abs: 3 * 64 * 6 * 6e-8, rel: 4e-6 },
    benchOnly,
  };
}

const size: Pair = [7, 7];

export const roiAlignSuite = suite(roiAlignOp, [
  roiAlignCase([1, 1, 1, 1], 3, { outputSize: [1, 1], spatialScale: 1, samplingRatio: 1, aligned: false }),
  roiAlignCase([2, 3, 17, 23], 9, { outputSize: size, spatialScale: 0.25, samplingRatio: 2, aligned: true }),
  roiAlignCase([2, 3, 17, 23], 9, {
    outputSize: [3, 5],
    spatialScale: 0.25,
    samplingRatio: 2,
    aligned: false,
  }),
  roiAlignCase([3, 2, 31, 19], 11, {
    outputSize: [4, 2],
    spatialScale: 0.5,
    samplingRatio: 0,
    aligned: true,
  }),
  roiAlignCase([1, 5, 13, 29], 8, { outputSize: [5, 5], spatialScale: 1, samplingRatio: 0, aligned: false }),
  roiAlignCase(
    [1, 256, 50, 64],
    100,
    { outputSize: size, spatialScale: 1 / 16, samplingRatio: 2, aligned: true },
    true,
  ),
]);
