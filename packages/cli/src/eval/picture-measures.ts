import type { Analysis } from "@mask-llava/composer";
import type { EvalPicture } from "./dataset.ts";
import { type Detections, matchObjects } from "./detections.ts";
import { probedObjects } from "./probe/object-features.ts";
import type { PerProbe, Probes } from "./probe/probes.ts";

/** How MaskInversion went for an object: dice loss, and share of the map inside the mask, [first, last step]. */
export interface FitMeasure {
  readonly dice: readonly [first: number, last: number];
  readonly mass: readonly [first: number, last: number];
}

/** What is measured of a picture besides its answers. Sums over pictures make the report. */
export interface PictureMeasures {
  /** Milliseconds of each stage, all configurations together. */
  readonly timings: Readonly<Record<string, number>>;
  /** Of scenes, by `--model`'s analysis. */
  readonly detections?: Detections;
  /** Of every object found; absent where tokens are pooled. */
  readonly fits?: readonly FitMeasure[];
  /** Of annotated objects that were found: how many there are, and how many each probe names right. */
  readonly probes?: { readonly objects: number; readonly right: PerProbe<number> };
}

/** Probes, and what they need to know of the checkpoint. */
export interface Probing {
  readonly probes: Probes;
  /** Pixels of a patch's side. */
  readonly patchSize: number;
}

/** What the analysis of a scene is worth, by its annotations. */
export function measureAnalysis(
  { objects }: EvalPicture,
  analysis: Analysis,
  probing: Probing | undefined,
): Omit<PictureMeasures, "timings"> {
  if (!objects) return {};
  const fits = analysis.fits?.flatMap(({ dice, mass }, i): FitMeasure[] =>
    analysis.objects[i]?.kind === "object"
      ? [{ dice: [dice.first, dice.last], mass: [mass.first, mass.last] }]
      : [],
  );
  const probed = probing && probedObjects(objects, analysis, probing.patchSize);
  return {
    detections: matchObjects(objects, analysis.objects).detections,
    ...(fits && { fits }),
    ...(probed && { probes: { objects: probed.length, right: probing.probes.right(probed) } }),
  };
}
