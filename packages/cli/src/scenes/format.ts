import type { Box } from "@mask-llava/models";
import type { Rle } from "../coco/index.ts";
import type { Colour, ShapeName, SizeName } from "./world.ts";

/** Version of the files' layout. */
export const formatVersion = 1;
/** Version of the world: counts up whenever a seed means other pixels or other annotations. */
export const generatorVersion = 1;

export const splits = ["train", "validation", "test"] as const;
export type Split = (typeof splits)[number];

export const questionKinds = [
  "existence",
  "colour",
  "shape",
  "size",
  "count",
  "relation",
  "comparison",
  "description",
] as const;
export type QuestionKind = (typeof questionKinds)[number];

/** How the absent thing of an existence question was chosen, after POPE (Li et al., 2023, section 4.1). */
export const negatives = ["random", "popular", "adversarial"] as const;
export type Negative = (typeof negatives)[number];

export interface SceneQuestion {
  /** `<scene>-<number>`, unique within a data set. */
  readonly id: string;
  readonly kind: QuestionKind;
  readonly question: string;
  readonly answer: string;
  /** Of existence questions that are answered with no. */
  readonly negative?: Negative;
}

/** One object. Objects are listed from the back to the front. */
export interface SceneObject {
  readonly shape: ShapeName;
  readonly colour: Colour;
  readonly size: SizeName;
  /** Degrees, clockwise as seen. */
  readonly rotation: number;
  /** (x0, y0, x1, y1) in pixels: the bounds of the visible mask, whose last column and row are x1 - 1 and y1 - 1. */
  readonly box: Box;
  /** The bounds of the object as if nothing were in front of it. */
  readonly full_box: Box;
  /** Pixels at least half covered by the object and not by one in front of it: the masks of a scene are disjoint. */
  readonly mask: Rle;
  /** Pixels of the mask, as a share of those that it had if nothing were in front; to four decimals. */
  readonly visible_fraction: number;
}

/** One line of `annotations.jsonl`. */
export interface SceneAnnotation {
  /** Six digits or more: the scene's index in its split. */
  readonly id: string;
  /** Path of the picture within the data set's folder. */
  readonly image: string;
  readonly width: number;
  readonly height: number;
  /** 128 bits in hexadecimal. */
  readonly seed: string;
  readonly objects: readonly SceneObject[];
  readonly caption: string;
  readonly questions: readonly SceneQuestion[];
}

/** `dataset.json`. */
export interface DatasetDescription {
  readonly format: "mask-llava-scenes";
  readonly version: number;
  readonly generator_version: number;
  readonly seed: number;
  readonly split: Split;
  readonly count: number;
  readonly image_size: number;
  /** Rounds of questions a scene, of at most nine each. */
  readonly question_rounds: number;
  readonly question_kinds: readonly QuestionKind[];
  readonly vocabulary: {
    readonly shapes: readonly ShapeName[];
    readonly colours: readonly Colour[];
    readonly sizes: readonly SizeName[];
    /** Every word that occurs in an answer. */
    readonly answer_words: readonly string[];
  };
}
