import type { PictureMeasures } from "./picture-measures.ts";
import { type PerProbe, perProbe } from "./probe/probes.ts";
import { type Share, shareOf } from "./share.ts";

/** Found objects against annotated ones, over all scenes. */
export interface DetectionReport {
  readonly scenes: number;
  readonly objects: number;
  /** Share of annotated objects whose box is found, at an IoU of at least 0.5. */
  readonly recall: number;
  /** Boxes a scene that are of no annotated object. */
  readonly extraBoxes: number;
  /** Mean over the matched objects; null where there are none. */
  readonly maskIou: number | null;
}

/** Means over all objects found, before the first step of MaskInversion and at the last. */
export interface InversionReport {
  readonly objects: number;
  readonly dice: { readonly first: number; readonly last: number };
  /** Share of the explainability map inside the mask. */
  readonly mass: { readonly first: number; readonly last: number };
}

export function detectionReport(pictures: readonly PictureMeasures[]): DetectionReport | undefined {
  const all = pictures.flatMap(({ detections }) => detections ?? []);
  if (all.length === 0) return undefined;
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const objects = sum(all.map((d) => d.objects));
  const ious = all.flatMap((d) => d.mask_ious);
  return {
    scenes: all.length,
    objects,
    recall: objects > 0 ? ious.length / objects : 0,
    extraBoxes: (sum(all.map((d) => d.found)) - ious.length) / all.length,
    maskIou: ious.length > 0 ? sum(ious) / ious.length : null,
  };
}

export function inversionReport(pictures: readonly PictureMeasures[]): InversionReport | undefined {
  const fits = pictures.flatMap((picture) => picture.fits ?? []);
  if (fits.length === 0) return undefined;
  const mean = (pick: "dice" | "mass", at: 0 | 1) =>
    fits.reduce((sum, fit) => sum + fit[pick][at], 0) / fits.length;
  return {
    objects: fits.length,
    dice: { first: mean("dice", 0), last: mean("dice", 1) },
    mass: { first: mean("mass", 0), last: mean("mass", 1) },
  };
}

/** Accuracy of linear probes on annotated objects that were found: on the object's token, and on its pooled patches. */
export type ProbeReport = PerProbe<Share> & { readonly objects: number };

export function probeReport(pictures: readonly PictureMeasures[]): ProbeReport | undefined {
  const all = pictures.flatMap(({ probes }) => probes ?? []);
  if (all.length === 0) return undefined;
  const objects = all.reduce((sum, probes) => sum + probes.objects, 0);
  const shares = perProbe((feature, attribute) =>
    shareOf(
      all.reduce((sum, { right }) => sum + right[feature][attribute], 0),
      objects,
    ),
  );
  return { objects, ...shares };
}
