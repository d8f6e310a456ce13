import type { Box, LoadDType } from "@mask-llava/models";
import type { DType, NetworkArithmetic, OpTime } from "@mask-llava/runtime";
import type { CocoDocument, Rle } from "./coco/index.ts";
import type { Point } from "./picture-flags.ts";

/** What `--json` prints: exactly one of these objects, on one line of stdout. */

export interface AdapterOutput {
  readonly name: string;
  readonly description: string;
  readonly vendor: string;
  readonly architecture: string;
  readonly software: boolean;
}

/** What every command that runs a model tells. */
export interface CommonOutput {
  /** The checkpoint folder; null: the one that comes with the program. */
  readonly model: string | null;
  /** How the weights were held; `stored`: quantised ones as they are in the file. */
  readonly dtype: LoadDType;
  readonly arithmetic: NetworkArithmetic;
  readonly adapter: AdapterOutput;
  /** Milliseconds that each stage took, and `total`. */
  readonly timings: Readonly<Record<string, number>>;
  /** Bytes of GPU memory. */
  readonly memory: { readonly peak: number; readonly budget: number | null };
  /** With `--profile`: GPU time of each op of each program; null where the adapter has no timestamps. */
  readonly profile?: readonly OpTime[] | null;
  /** The file of `--save-tensors`. */
  readonly savedTensors?: string;
}

export interface PictureOutput {
  readonly file: string;
  readonly width: number;
  readonly height: number;
}

export interface EncodeOutput extends CommonOutput {
  readonly command: "encode";
  readonly picture: PictureOutput;
  /** L2-normalised. */
  readonly imageEmbeds: readonly number[];
  /** With `--text`: how well each fits, as a share of all. */
  readonly texts?: readonly { readonly text: string; readonly probability: number }[];
}

interface AnswerOutput extends CommonOutput {
  /** The prompt as the model was given it, before `<image>` marks were expanded. */
  readonly prompt: string;
  readonly answer: string;
  readonly finishReason: "eos" | "stop" | "length" | "cancelled";
  readonly tokens: {
    /** In the prompt, visual ones included. */
    readonly prompt: number;
    /** Visual ones in the prompt. */
    readonly visual: number;
    /** Generated ones. */
    readonly new: number;
  };
}

export interface GenerateOutput extends AnswerOutput {
  readonly command: "generate";
}

export interface AskOutput extends AnswerOutput, SavedFilesOutput {
  readonly command: "ask";
  readonly question: string;
  readonly pictures: readonly PictureOutput[];
  /** Of a Mask-LLaVA checkpoint. */
  readonly composition?: CompositionOutput;
}

/** The files of `--save-picture`, `--save-masks` and `--save-coco`. */
export interface SavedFilesOutput {
  readonly savedPicture?: string;
  readonly savedMasks?: string;
  readonly savedCoco?: string;
}

export interface DetectedOutput {
  /** (x0, y0, x1, y1) in pixels of the picture. */
  readonly box: Box;
  /** Probability of the class, 0 to 1. */
  readonly score: number;
  /** Index of the class, and its name. */
  readonly label: number;
  readonly name: string;
}

export interface DetectOutput extends CommonOutput, SavedFilesOutput {
  readonly command: "detect";
  readonly picture: PictureOutput;
  /** `objects`: one box a query without near duplicates; `classes`: the best pairs of query and class. */
  readonly view: "objects" | "classes";
  /** Best first. */
  readonly detections: readonly DetectedOutput[];
  readonly coco: CocoDocument;
}

/** The best mask for a prompt. */
export interface SegmentedOutput {
  readonly prompt: { readonly box: Box } | { readonly points: readonly Point[] };
  /** Predicted intersection over union of each of the prompt's masks. */
  readonly iouScores: readonly number[];
  /** Which of them is the best: the mask that is told. */
  readonly best: number;
  /** Pixels inside. */
  readonly area: number;
  /** Around the mask; null where nothing is inside. */
  readonly box: Box | null;
  readonly mask: Rle;
}

export interface SegmentOutput extends CommonOutput, SavedFilesOutput {
  readonly command: "segment";
  readonly picture: PictureOutput;
  /** One a prompt: the boxes in their order, then the points. */
  readonly masks: readonly SegmentedOutput[];
  readonly coco: CocoDocument;
}

export interface InvertOutput extends CommonOutput, SavedFilesOutput {
  readonly command: "invert";
  readonly picture: PictureOutput;
  readonly masks: readonly {
    readonly file: string;
    /** Before each step. */
    readonly diceLosses: readonly number[];
    readonly embedding: readonly number[];
  }[];
  /** Mean over the masks, before each step. */
  readonly diceLosses: readonly number[];
}

/** The visual tokens of a picture. */
export interface CompositionOutput {
  /** Visual tokens: kept, and how many there would be without a budget. */
  readonly tokens: { readonly kept: number; readonly available: number };
  readonly cls: boolean;
  /** Patch tokens in each row of the pooled grid. */
  readonly patches: readonly number[];
  /** Everything that could have become an object token, best first, the background last. */
  readonly objects: readonly {
    readonly kind: "object" | "background";
    readonly kept: boolean;
    readonly score: number;
    /** Share of the picture. */
    readonly area: number;
    readonly box: Box;
    readonly mask: Rle;
  }[];
}

export interface ComposeOutput extends CommonOutput, SavedFilesOutput {
  readonly command: "compose";
  readonly picture: PictureOutput;
  readonly composition: CompositionOutput;
  readonly coco: CocoDocument;
}

/** `dtype` is what the weights are written as. */
export interface ConvertOutput extends CommonOutput {
  readonly command: "convert";
  readonly out: string;
  readonly files: readonly string[];
  /** Of the weights. */
  readonly bytes: number;
  /** Weights by the GPU type that they are stored for. */
  readonly tensors: Readonly<Partial<Record<DType, number>>>;
}

export type ModelOutput =
  | EncodeOutput
  | GenerateOutput
  | AskOutput
  | DetectOutput
  | SegmentOutput
  | InvertOutput
  | ComposeOutput;
