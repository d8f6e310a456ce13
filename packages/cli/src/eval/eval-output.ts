import type { CommonOutput } from "../output.ts";
import type { EvalSet } from "./dataset.ts";
import type { DetectionReport, InversionReport, ProbeReport } from "./scene-report.ts";
import type { ConfigurationResult } from "./tally.ts";

/** What `mask-llava eval --json` prints. */
export interface EvalOutput extends CommonOutput {
  /** Share of all questions that the main configuration answers right. The first field. */
  readonly accuracy: number;
  readonly command: "eval";
  readonly dataset: {
    readonly path: string;
    readonly kind: EvalSet["kind"];
    readonly pictures: number;
    readonly questions: number;
    readonly fingerprint: string;
  };
  /** The main one first. */
  readonly configurations: readonly ConfigurationResult[];
  /** Of scenes. */
  readonly detection?: DetectionReport;
  /** Of scenes, where object tokens are made by MaskInversion. */
  readonly inversion?: InversionReport;
  /** With `--probe-dataset`. */
  readonly probes?: ProbeReport;
  readonly speed: SpeedReport;
}

export interface SpeedReport {
  readonly answers: number;
  readonly newTokens: number;
  /** Milliseconds by stage, over all pictures, configurations and questions. */
  readonly stages: Readonly<Record<string, number>>;
  /** Of the time of all stages. */
  readonly answersPerSecond: number;
  /** Of the time of the decode stage. */
  readonly tokensPerSecond: number;
}
