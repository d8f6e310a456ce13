import type { Analysis } from "@mask-llava/composer";
import type { EvalPicture } from "./dataset.ts";
import { type Detections, matchObjects } from "./detections.ts";

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
}

/** What the analysis of a scene is worth, by its annotations. */
export function measureAnalysis(
  picture: EvalPicture,
  analysis: Analysis,
): Pick<PictureMeasures, "detections" | "fits"> {
  const fits = analysis.fits?.flatMap(({ dice, mass }, i): FitMeasure[] =>
    analysis.objects[i]?.kind === "object"
      ? [{ dice: [dice.first, dice.last], mass: [mass.first, mass.last] }]
      : [],
  );
  return {
    ...(picture.objects && { detections: matchObjects(picture.objects, analysis.objects).detections }),
    ...(picture.objects && fits && { fits }),
  };
}
