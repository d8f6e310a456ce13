import type { AnswerLine } from "./answer-line.ts";
import type { EvalOutput, SpeedReport } from "./eval-output.ts";
import type { Row } from "./evaluate.ts";
import type { PictureMeasures } from "./picture-measures.ts";
import { detectionReport, inversionReport, probeReport } from "./scene-report.ts";
import { Tally } from "./tally.ts";

/** What lines of answers come to. */
export function measure(
  lines: readonly AnswerLine[],
  rows: readonly Row[],
): Pick<EvalOutput, "configurations" | "detection" | "inversion" | "probes" | "speed"> {
  const tallies = new Map(rows.map((row) => [row.mark.configuration, new Tally()]));
  for (const line of lines) tallies.get(line.metadata.configuration)?.add(line);
  const configurations = rows.flatMap(
    ({ configuration, model, mark }) => tallies.get(mark.configuration)?.result(configuration, model) ?? [],
  );
  const pictures = lines.flatMap(({ metadata }) => metadata.picture ?? []);
  const detection = detectionReport(pictures);
  const inversion = inversionReport(pictures);
  const probes = probeReport(pictures);
  const newTokens = lines.reduce((sum, { metadata }) => sum + metadata.new_tokens, 0);
  return {
    configurations,
    ...(detection && { detection }),
    ...(inversion && { inversion }),
    ...(probes && { probes }),
    speed: speedOf(pictures, lines.length, newTokens),
  };
}

function speedOf(pictures: readonly PictureMeasures[], answers: number, newTokens: number): SpeedReport {
  const stages: Record<string, number> = {};
  for (const { timings } of pictures) {
    for (const [stage, ms] of Object.entries(timings)) stages[stage] = (stages[stage] ?? 0) + ms;
  }
  const all = Object.values(stages).reduce((a, b) => a + b, 0);
  const perSecond = (count: number, ms: number) => (ms > 0 ? (1000 * count) / ms : 0);
  return {
    answers,
    newTokens,
    stages,
    answersPerSecond: perSecond(answers, all),
    tokensPerSecond: perSecond(newTokens, stages.decode ?? 0),
  };
}
