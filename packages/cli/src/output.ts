import type { OpTime } from "@mask-llava/runtime";
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
  readonly dtype: "f32" | "f16";
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

export interface AskOutput extends AnswerOutput {
  readonly command: "ask";
  readonly question: string;
  readonly pictures: readonly PictureOutput[];
}

export type ModelOutput = EncodeOutput | GenerateOutput | AskOutput;
