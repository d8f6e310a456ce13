import type { EvalOutput } from "./eval-output.ts";
import { probedAttributes } from "./probe/probes.ts";
import type { ProbeReport } from "./scene-report.ts";
import type { ConfigurationResult } from "./tally.ts";

const counted = (n: number, noun: string) => `${n} ${noun}${n === 1 ? "" : "s"}`;
const percent = (share: number) => (100 * share).toFixed(1);

/** Everything that was measured, for people. */
export function formatTables(output: EvalOutput): string {
  const { configurations, dataset, detection, inversion, probes, speed } = output;
  const parts = [
    `${counted(dataset.questions, "question")} about ${counted(dataset.pictures, "picture")} of ${dataset.path}`,
    accuracyTable(configurations),
    existenceTable(configurations),
    ...(detection
      ? [
          `objects: recall ${percent(detection.recall)}% of ${detection.objects} at IoU 0.5, ${detection.extraBoxes.toFixed(2)} extra boxes a scene, mask IoU ${detection.maskIou?.toFixed(3) ?? "-"}`,
        ]
      : []),
    ...(inversion
      ? [
          `MaskInversion, first to last step: map inside the mask ${percent(inversion.mass.first)}% to ${percent(inversion.mass.last)}%, dice loss ${inversion.dice.first.toFixed(3)} to ${inversion.dice.last.toFixed(3)}`,
        ]
      : []),
    ...(probes ? [probeTable(probes)] : []),
    `${speed.answersPerSecond.toFixed(1)} answers/s, ${speed.tokensPerSecond.toFixed(0)} new tokens/s; ${stages(speed.stages)}`,
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function stages(milliseconds: Readonly<Record<string, number>>): string {
  return Object.entries(milliseconds)
    .map(([stage, ms]) => `${stage} ${(ms / 1000).toFixed(1)} s`)
    .join(", ");
}

function accuracyTable(configurations: readonly ConfigurationResult[]): string {
  const kinds = [...new Set(configurations.flatMap((c) => Object.keys(c.kinds)))];
  const told = kinds.length > 1 ? kinds : [];
  const head = ["", "tokens", "accuracy", "95% interval", ...told];
  const rows = configurations.map((c) => [
    c.name,
    c.visualTokens.toFixed(1),
    percent(c.accuracy),
    `${percent(c.interval[0])} - ${percent(c.interval[1])}`,
    ...told.map((kind) => (c.kinds[kind] ? percent(c.kinds[kind].accuracy) : "")),
  ]);
  return columns([head, ...rows]);
}

/** Existence questions by the kind of their negatives, as POPE tells them, of whole checkpoints. */
function existenceTable(configurations: readonly ConfigurationResult[]): string {
  const whole = configurations.filter(({ role }) => role !== "budget" && role !== "ablation");
  const rows = whole.flatMap((c) =>
    Object.entries(c.negatives ?? {}).map(([negative, s]) => [
      c.name,
      negative,
      ...[s.accuracy, s.precision, s.recall, s.f1, s.yesRatio].map(percent),
      String(s.n),
    ]),
  );
  if (rows.length === 0) return "";
  return columns([
    ["existence", "negatives", "accuracy", "precision", "recall", "F1", "yes ratio", "n"],
    ...rows,
  ]);
}

function probeTable(probes: ProbeReport): string {
  const row = (name: string, shares: ProbeReport["token"]) => [
    name,
    ...probedAttributes.map((attribute) => percent(shares[attribute].accuracy)),
  ];
  return columns([
    [`linear probes of ${probes.objects} objects`, ...probedAttributes],
    row("object token", probes.token),
    row("pooled patches", probes.pooled),
  ]);
}

/** Rows of one number of cells in columns: the first left, the others right. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ");
  return rows.map((row) => line(row).trimEnd()).join("\n");
}
