import type { Pixels } from "@mask-llava/models";
import { encodeRle } from "../coco/index.ts";
import { captionOf } from "./caption.ts";
import type { SceneAnnotation, SceneObject, Split } from "./format.ts";
import { layOut, type PlacedObject } from "./layout.ts";
import { areaOf, boundsOf, visibleMasks } from "./masks.ts";
import { paint } from "./paint.ts";
import { askAll } from "./questions/index.ts";
import { sceneSeed, stream } from "./seed.ts";

/** Pixels a side: what is drawn without `--image-size`, and its bounds. */
export const imageSizes = { default: 96, least: 64, most: 1024 } as const;

/** Qualities of JPEG (1 to 100) that pictures are written with. */
const qualities = { least: 45, most: 95 } as const;

/** A scene before its picture is encoded. */
export interface DrawnScene {
  readonly annotation: SceneAnnotation;
  readonly picture: Pixels;
  /** Of the JPEG. */
  readonly quality: number;
}

/** What scenes are drawn by. */
export interface SceneOptions {
  readonly seed: number;
  readonly split: Split;
  /** Pixels a side. */
  readonly imageSize: number;
  /** Rounds of questions; 1 by default. */
  readonly rounds?: number;
}

/** Draws scene `index` of a split: the same for the same options, whichever scenes are drawn before it. */
export function drawScene(
  { seed: of, split, imageSize: size, rounds = 1 }: SceneOptions,
  index: number,
): DrawnScene {
  const seed = sceneSeed(of, split, index);
  const placed = layOut(stream(seed, "layout"), size);
  const paintRandom = stream(seed, "paint");
  const picture = paint(paintRandom, placed, size);
  const quality = paintRandom.integer(qualities.least, qualities.most);
  const objects = annotate(placed, size);
  const id = String(index).padStart(6, "0");
  const annotation: SceneAnnotation = {
    id,
    image: `images/${id}.jpg`,
    width: size,
    height: size,
    seed,
    objects,
    caption: captionOf(objects),
    questions: askAll(id, { objects, size }, questionStreams(seed, rounds)),
  };
  return { annotation, picture, quality };
}

/** The first round's is the same for any number of rounds. */
function questionStreams(seed: string, rounds: number) {
  return Array.from({ length: rounds }, (_, i) => stream(seed, i === 0 ? "questions" : `questions/${i}`));
}

function annotate(placed: readonly PlacedObject[], size: number): SceneObject[] {
  const masks = visibleMasks(placed.map(({ full }) => full));
  return placed.map((object, i) => {
    const mask = masks[i] as Uint8Array;
    return {
      shape: object.shape,
      colour: object.colour,
      size: object.size,
      rotation: object.rotation,
      box: boundsOf(mask, size),
      full_box: boundsOf(object.full, size),
      mask: encodeRle({ width: size, height: size, data: mask }),
      visible_fraction: Math.round((1e4 * areaOf(mask)) / areaOf(object.full)) / 1e4,
    };
  });
}
