export type { AnswerLine, AnswerMetadata, RunMark } from "./answer-line.ts";
export type { EvalOutput, SpeedReport } from "./eval-output.ts";
export type { FitMeasure, PictureMeasures } from "./picture-measures.ts";
export type { DetectionReport, InversionReport } from "./scene-report.ts";
export type { ConfigurationResult, Share, YesNoShare } from "./tally.ts";
