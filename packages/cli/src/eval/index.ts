export type { AnswerLine, AnswerMetadata, RunMark } from "./answer-line.ts";
export type { EvalOutput, SpeedReport } from "./eval-output.ts";
export type { FitMeasure, PictureMeasures } from "./picture-measures.ts";
export type { DetectionReport, InversionReport, ProbeReport } from "./scene-report.ts";
export type { Share } from "./share.ts";
export type { ConfigurationResult, YesNoShare } from "./tally.ts";
