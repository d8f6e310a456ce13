import type { DropPolicy } from "@mask-llava/composer";
import type { Negative } from "../scenes/index.ts";
import type { PictureMeasures } from "./picture-measures.ts";

/** One line of the file of `--answers`: LLaVA's format, with what the evaluation knows in `metadata`. */
export interface AnswerLine {
  readonly question_id: string;
  /** As the model was given it, before `<image>` marks were expanded. */
  readonly prompt: string;
  readonly text: string;
  /** Unique in a run. */
  readonly answer_id: string;
  /** The checkpoint's folder. */
  readonly model_id: string;
  readonly metadata: AnswerMetadata;
}

export interface AnswerMetadata extends RunMark {
  readonly kind: string;
  readonly right: boolean;
  readonly answers: readonly string[];
  readonly negative?: Negative | undefined;
  readonly visual_tokens: number;
  readonly new_tokens: number;
  readonly finish_reason: string;
  /** On the last line of a picture. */
  readonly picture?: PictureMeasures;
}

/** What a line must have in common with a run that goes on from it. */
export interface RunMark {
  /** Content of the data set. */
  readonly dataset: string;
  /** Content of the checkpoint. */
  readonly checkpoint: string;
  readonly configuration: string;
  readonly tokens: number | null;
  readonly drop_policy: DropPolicy | null;
  /** Everything else that answers depend on. */
  readonly settings: string;
}
