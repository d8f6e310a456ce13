import type { TopLevelSpec } from "vega-lite";
import { barChart } from "../common/bar-chart.ts";
import { formatConditions } from "../common/conditions.ts";
import { conditionFields, type Field, formatCsv } from "../common/csv.ts";
import { type Column, formatTable, milliseconds } from "../common/table.ts";
import type { KernelReport, KernelRow } from "./index.ts";

/** The whole report, for a terminal. */
export function formatReport(report: KernelReport): string {
  const { rows, seconds } = report;
  const count = `${rows.length} cases in ${seconds.toFixed(0)} s`;
  return [formatHead(report), "", formatTable(columns, rows), "", count].join("\n");
}

/** Header lines: where the figures are from, and the roofs. */
function formatHead({ conditions, roofs, size, options }: KernelReport): string {
  const variants = (name: string) =>
    roofs.measurements.flatMap((m) =>
      m.name.startsWith(name)
        ? [`${m.name.slice(name.length + 1)} ${m.variant}: ${milliseconds(m.time.median)} ms`]
        : [],
    );
  return [
    formatConditions(conditions),
    `size       ${size}; inputs rotate over ${Math.round(options.rotation / 2 ** 20)} MiB where a chain is long enough (* : they do not); samples of at least ${options.sample} ms`,
    `read roof  ${(roofs.readBytesPerSecond / 1e9).toFixed(2)} GB/s (${variants("roof-read").join(", ")})`,
    `FMA roof   ${(roofs.flopsPerSecond / 1e9).toFixed(1)} GFLOP/s (${variants("roof-arithmetic").join(", ")})`,
  ].join("\n");
}

const columns: readonly Column<KernelRow>[] = [
  { title: "kernel", cell: (r) => `${r.name}${r.pastCache ? "" : " *"}`, text: true },
  { title: "variant", cell: (r) => r.variant, text: true },
  { title: "ms", cell: (r) => milliseconds(r.time.median) },
  { title: "spread", cell: (r) => `${(100 * r.time.spread).toFixed(0)}%` },
  { title: "+-", cell: (r) => `${r.time.relativeMarginOfError.toFixed(0)}%` },
  { title: "GFLOP/s", cell: (r) => r.gflops.toFixed(2) },
  { title: "GB/s", cell: (r) => r.gigabytes.toFixed(2) },
  { title: "of roof", cell: (r) => formatBound(r) },
  { title: "clock", cell: (r) => (r.clock === "timestamps" ? "GPU" : "wall") },
];

/** The part of the roof that binds a kernel. */
function formatBound({ ofArithmetic, ofRead }: KernelRow): string {
  const part = Math.max(ofArithmetic, ofRead);
  return `${(100 * part).toFixed(0)}% ${ofArithmetic > ofRead ? "FMA" : "read"}`;
}

/** One case while the run goes on. */
export function formatProgress(row: KernelRow, index: number, count: number): string {
  return `[${index}/${count}] ${row.name}: ${milliseconds(row.time.median)} ms, ${formatBound(row)} (${row.variant})`;
}

/** A row a case. */
export function csvOf({ conditions, size, roofs, rows }: KernelReport): string {
  const fields: Field<KernelRow>[] = [
    ["kernel", (r) => r.name],
    ["variant", (r) => r.variant],
    ["size", () => size],
    ["median_ms", (r) => r.time.median],
    ["mean_ms", (r) => r.time.mean],
    ["min_ms", (r) => r.time.min],
    ["max_ms", (r) => r.time.max],
    ["spread", (r) => r.time.spread],
    ["relative_margin_of_error_percent", (r) => r.time.relativeMarginOfError],
    ["samples", (r) => r.time.samples],
    ["clock", (r) => r.clock],
    ["wall_median_ms", (r) => r.wall.median],
    ["chain", (r) => r.chain],
    ["input_sets", (r) => r.sets],
    ["past_cache", (r) => r.pastCache],
    ["flops", (r) => r.flops],
    ["bytes", (r) => r.bytes],
    ["gflop_per_s", (r) => r.gflops],
    ["gb_per_s", (r) => r.gigabytes],
    ["part_of_fma_roof", (r) => r.ofArithmetic],
    ["part_of_read_roof", (r) => r.ofRead],
    ["checked", (r) => r.checked.how],
    ["worst_error_of_tolerance", (r) => r.checked.worst],
    ["fma_roof_gflop_per_s", () => roofs.flopsPerSecond / 1e9],
    ["read_roof_gb_per_s", () => roofs.readBytesPerSecond / 1e9],
    ...conditionFields(conditions),
  ];
  return formatCsv(fields, rows);
}

export function chartOf({ conditions, rows }: KernelReport): TopLevelSpec {
  return barChart({
    title: "Kernels: part of the roof that binds each (arithmetic or reading)",
    conditions,
    axis: "part of the roof, measured in the same run",
    bars: rows.map((row) => {
      const value = Math.max(row.ofArithmetic, row.ofRead);
      return { name: row.name, value, label: formatBound(row), good: value >= 0.5 };
    }),
  });
}
