import type { Box } from "@mask-llava/models";
import type { Rle } from "../coco/index.ts";
import type { Negative } from "../scenes/index.ts";

/** A question about a picture, and what counts as its answer. */
export interface EvalQuestion {
  readonly id: string;
  readonly text: string;
  /** Any of them is right. */
  readonly answers: readonly string[];
  /** What accuracies are told apart by. */
  readonly kind: string;
  /** How the thing that an existence question asks for in vain was chosen; both questions of such a pair have it. */
  readonly negative?: Negative | undefined;
}

/** An annotated object of a scene. */
export interface TrueObject {
  readonly box: Box;
  readonly mask: Rle;
  readonly shape: string;
  readonly colour: string;
  readonly size: string;
}

export interface EvalPicture {
  readonly file: string;
  readonly questions: readonly EvalQuestion[];
  /** Of scenes. */
  readonly objects?: readonly TrueObject[];
}

export interface EvalSet {
  /** As it was given. */
  readonly path: string;
  /** `scenes`: a folder that `mask-llava scenes` wrote; `questions`: a JSONL file of questions. */
  readonly kind: "scenes" | "questions";
  readonly pictures: readonly EvalPicture[];
  /** Names the content: annotations, and the pictures by their sizes in bytes. */
  readonly fingerprint: string;
}
