import { type Analysis, type FoundObject, patchCoverage } from "@mask-llava/composer";
import type { TrueObject } from "../dataset.ts";
import { matchObjects } from "../detections.ts";

/** What a probe may be given of an object: its token as the checkpoint makes it, or the mean of the patches under its mask. */
export const probedFeatures = ["token", "pooled"] as const;
export type ProbedFeature = (typeof probedFeatures)[number];

export interface ProbedObject {
  readonly truth: TrueObject;
  readonly features: Readonly<Record<ProbedFeature, Float32Array>>;
}

/** Annotated objects of a scene that were found, with what stands for each. @param patch pixels of a patch's side */
export function probedObjects(
  truths: readonly TrueObject[],
  analysis: Analysis,
  patch: number,
): ProbedObject[] {
  const { objects, objectTokens } = analysis;
  return matchObjects(truths, objects).pairs.map(([t, found]) => ({
    truth: truths[t] as TrueObject,
    features: {
      token: row(objectTokens, found),
      pooled: pooled(objects[found] as FoundObject, analysis, patch),
    },
  }));
}

function row({ width, data }: Analysis["objectTokens"], index: number): Float32Array {
  return data.subarray(index * width, (index + 1) * width);
}

/** Zeros where no patch is covered. */
function pooled({ mask }: FoundObject, analysis: Analysis, patch: number): Float32Array {
  const { patches, processed, grid } = analysis;
  const shares = patchCoverage(mask, processed.geometry, grid, patch);
  const total = shares.reduce((a, b) => a + b, 0);
  const mean = new Float32Array(patches.width);
  if (total === 0) return mean;
  for (const [i, share] of shares.entries()) {
    for (let d = 0; d < patches.width; d++)
      mean[d] = (mean[d] as number) + (share / total) * (patches.data[i * patches.width + d] as number);
  }
  return mean;
}
