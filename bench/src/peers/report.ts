import type { TopLevelSpec } from "vega-lite";
import { barChart } from "../common/bar-chart.ts";
import { formatConditions } from "../common/conditions.ts";
import { conditionFields, type Field, formatCsv } from "../common/csv.ts";
import { type Column, formatTable, milliseconds } from "../common/table.ts";
import type { PeerReport, PeerRow, SkippedCase } from "./index.ts";

const factor = (ratio: number): string => `${ratio.toFixed(2)}x`;

const columns: readonly Column<PeerRow>[] = [
  { title: "case", cell: (r) => r.name, text: true },
  { title: "ours ms", cell: (r) => milliseconds(r.ours.wall.median) },
  { title: "theirs ms", cell: (r) => milliseconds(r.theirs.wall.median) },
  { title: "spread", cell: (r) => `${spread(r.ours)}, ${spread(r.theirs)}` },
  { title: "GFLOP/s", cell: (r) => (r.flops / r.ours.wall.median / 1e6).toFixed(2) },
  { title: "ratio", cell: (r) => factor(r.ratio) },
  { title: "by processor time", cell: (r) => factor(r.processorRatio) },
];

function spread({ wall }: PeerRow["ours"]): string {
  return `${(100 * wall.spread).toFixed(0)}%`;
}

/** The whole report, for a terminal. */
export function formatReport(report: PeerReport): string {
  const { conditions, peer, size, rows, skipped, geometricMean, geometricMeanOfProcessorTime } = report;
  const { behind, seconds } = report;
  return [
    formatConditions(conditions),
    `peer       ${peer.name} ${peer.version}: a case is one graph, its inputs and outputs stay on the GPU, nothing is subtracted`,
    `size       ${size}; ratio = their time over ours, above 1 we are ahead`,
    "",
    ...(rows.length > 0 ? [formatTable(columns, rows), ""] : []),
    ...skipped.map(({ name, reason }) => `not compared: ${name}: ${reason}`),
    ...(rows.length > 0
      ? [
          `${rows.length} cases in ${seconds.toFixed(0)} s: geometric mean ${factor(geometricMean)}, by processor time ${factor(geometricMeanOfProcessorTime)}; ${behind.length > 0 ? `behind in ${behind.length}: ${behind.join("; ")}` : "behind in none"}`,
        ]
      : []),
  ].join("\n");
}

/** One case while the run goes on. */
export function formatProgress(result: PeerRow | SkippedCase, index: number, count: number): string {
  const what =
    "reason" in result
      ? `not compared: ${result.reason}`
      : `${factor(result.ratio)} (by processor time ${factor(result.processorRatio)}), ${milliseconds(result.ours.wall.median)} against ${milliseconds(result.theirs.wall.median)} ms`;
  return `[${index}/${count}] ${result.name}: ${what}`;
}

/** A row a case. */
export function csvOf({ conditions, peer, size, rows }: PeerReport): string {
  const fields: Field<PeerRow>[] = [
    ["case", (r) => r.name],
    ["kind", (r) => r.kind],
    ["size", () => size],
    ["ratio", (r) => r.ratio],
    ["processor_ratio", (r) => r.processorRatio],
    ["ours_median_ms", (r) => r.ours.wall.median],
    ["theirs_median_ms", (r) => r.theirs.wall.median],
    ["ours_min_ms", (r) => r.ours.wall.min],
    ["theirs_min_ms", (r) => r.theirs.wall.min],
    ["ours_processor_median_ms", (r) => r.ours.processor.median],
    ["theirs_processor_median_ms", (r) => r.theirs.processor.median],
    ["ours_first_ms", (r) => r.ours.first],
    ["theirs_first_ms", (r) => r.theirs.first],
    ["samples", (r) => r.ours.wall.samples],
    ["difference", (r) => r.difference],
    ["repeats", (r) => r.repeats],
    ["flops", (r) => r.flops],
    ["bytes", (r) => r.bytes],
    ["peer_version", () => peer.version],
    ...conditionFields(conditions),
  ];
  return formatCsv(fields, rows);
}

export function chartOf({ conditions, peer, rows, geometricMean }: PeerReport): TopLevelSpec {
  return barChart({
    title: `mask-llava against ONNX Runtime ${peer.version} (WebGPU): geometric mean ${factor(geometricMean)}`,
    conditions,
    axis: "their time over ours",
    baseline: 1,
    bars: rows.map(({ name, ratio }) => ({ name, value: ratio, label: factor(ratio), good: ratio >= 1 })),
  });
}
