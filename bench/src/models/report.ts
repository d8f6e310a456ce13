import { formatBytes } from "@mask-llava/runtime";
import type { TopLevelSpec } from "vega-lite";
import { barChart } from "../common/bar-chart.ts";
import { formatConditions } from "../common/conditions.ts";
import { conditionFields, type Field, formatCsv } from "../common/csv.ts";
import { type Column, formatTable, milliseconds } from "../common/table.ts";
import type { ModelReport, ModelRow } from "./index.ts";

const columns: readonly Column<ModelRow>[] = [
  { title: "network", cell: (r) => `${r.name}, ${r.shape}, ${r.dtype}`, text: true },
  { title: "run ms", cell: (r) => milliseconds(r.run.median) },
  { title: "spread", cell: (r) => `${(100 * r.run.spread).toFixed(0)}%` },
  { title: "GFLOP/s", cell: (r) => r.gflops.toFixed(2) },
  { title: "tok/s", cell: (r) => r.tokenRate?.toFixed(1) ?? "" },
  { title: "submit ms", cell: (r) => (r.submit === undefined ? "" : milliseconds(r.submit)) },
  { title: "dispatches", cell: (r) => `${r.dispatches ?? ""}` },
  { title: "pipelines", cell: (r) => `${r.pipelines}` },
  { title: "load ms", cell: (r) => milliseconds(r.load) },
  { title: "build ms", cell: (r) => milliseconds(r.build) },
  { title: "first ms", cell: (r) => milliseconds(r.first) },
  { title: "weights", cell: (r) => formatBytes(r.bytes.weights) },
  { title: "peak GPU", cell: (r) => formatBytes(r.bytes.peakGpu) },
  { title: "peak host", cell: (r) => formatBytes(r.peakHost) },
];

const gigabytes = (bytesPerSecond: number): string => `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`;

/** The whole report, for a terminal. */
export function formatReport({ conditions, size, arithmetic, rows, loading, seconds }: ModelReport): string {
  return [
    formatConditions(conditions),
    `size       ${size}; ${arithmetic} arithmetic; random weights; a process each, with cold shader caches; "first" is the first run, in which drivers compile`,
    `loading    ${formatBytes(loading.bytes)} of safetensors at ${gigabytes(loading.load)}; reading the file ${gigabytes(loading.read)}, writeBuffer ${gigabytes(loading.write)}`,
    "",
    formatTable(columns, rows),
    "",
    `${rows.length} networks in ${seconds.toFixed(0)} s`,
  ].join("\n");
}

/** One network while the run goes on. */
export function formatProgress(row: ModelRow, index: number, count: number): string {
  return `[${index}/${count}] ${row.name}, ${row.shape}: ${milliseconds(row.run.median)} ms, ${row.gflops.toFixed(2)} GFLOP/s`;
}

/** A row a network. */
export function csvOf({ conditions, size, arithmetic, rows, loading }: ModelReport): string {
  const fields: Field<ModelRow>[] = [
    ["network", (r) => r.name],
    ["shape", (r) => r.shape],
    ["size", () => size],
    ["dtype", (r) => r.dtype],
    ["arithmetic", () => arithmetic],
    ["run_median_ms", (r) => r.run.median],
    ["run_min_ms", (r) => r.run.min],
    ["runs", (r) => r.run.samples],
    ["tokens_per_s", (r) => r.tokenRate],
    ["submit_median_ms", (r) => r.submit],
    ["load_ms", (r) => r.load],
    ["build_ms", (r) => r.build],
    ["first_ms", (r) => r.first],
    ["compile_ms", (r) => r.compile],
    ["dispatches", (r) => r.dispatches],
    ["pipelines", (r) => r.pipelines],
    ["flops", (r) => r.flops],
    ["gflop_per_s", (r) => r.gflops],
    ["weight_bytes", (r) => r.bytes.weights],
    ["program_bytes", (r) => r.bytes.program],
    ["peak_gpu_bytes", (r) => r.bytes.peakGpu],
    ["peak_host_bytes", (r) => r.peakHost],
    ["loading_bytes_per_s", () => loading.load],
    ...conditionFields(conditions),
  ];
  return formatCsv(fields, rows);
}

export function chartOf({ conditions, size, rows }: ModelReport): TopLevelSpec {
  return barChart({
    title: `Networks of random weights, size ${size}: one run`,
    conditions,
    axis: "milliseconds",
    bars: rows.map((r) => ({
      name: `${r.name}, ${r.shape}`,
      value: r.run.median,
      label: `${milliseconds(r.run.median)} ms`,
      good: true,
    })),
  });
}
