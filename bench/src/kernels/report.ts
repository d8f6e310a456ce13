import type { Conditions } from "./conditions.ts";
import type { KernelReport, KernelRow } from "./index.ts";

/** Header lines: where the figures are from, and the roofs. */
export function formatHead({ conditions, roofs, size, options }: KernelReport): string {
  const { adapter, processor, load, commit, note } = conditions;
  const variants = (name: string) =>
    roofs.measurements.flatMap((m) =>
      m.name.startsWith(name)
        ? [`${m.name.slice(name.length + 1)} ${m.variant}: ${milliseconds(m.time.median)} ms`]
        : [],
    );
  return [
    `adapter    ${formatAdapter(conditions)}`,
    `driver     ${adapter.description || "not told"} (${[adapter.vendor, adapter.architecture, adapter.device].filter(Boolean).join(", ")})`,
    `host       ${processor.cores} x ${processor.model}, load ${load.toFixed(1)}${load > processor.cores ? " (shared with other work)" : ""}, Node ${conditions.node}`,
    `commit     ${commit ?? "unknown"}, ${conditions.date}`,
    ...(note ? [`note       ${note}`] : []),
    `size       ${size}; inputs rotate over ${Math.round(options.rotation / 2 ** 20)} MiB where a chain is long enough (* : they do not); samples of at least ${options.sample} ms`,
    `read roof  ${(roofs.readBytesPerSecond / 1e9).toFixed(2)} GB/s (${variants("roof-read").join(", ")})`,
    `FMA roof   ${(roofs.flopsPerSecond / 1e9).toFixed(1)} GFLOP/s (${variants("roof-arithmetic").join(", ")})`,
  ].join("\n");
}

function formatAdapter({ adapter }: Conditions): string {
  const name = adapter.device || adapter.description || adapter.architecture;
  return adapter.software ? `${name} — SOFTWARE: figures are those of a processor, not of a GPU` : name;
}

const columns: readonly (readonly [title: string, cell: (row: KernelRow) => string])[] = [
  ["kernel", (r) => `${r.name}${r.pastCache ? "" : " *"}`],
  ["variant", (r) => r.variant],
  ["ms", (r) => milliseconds(r.time.median)],
  ["spread", (r) => `${(100 * r.time.spread).toFixed(0)}%`],
  ["+-", (r) => `${r.time.relativeMarginOfError.toFixed(0)}%`],
  ["GFLOP/s", (r) => r.gflops.toFixed(2)],
  ["GB/s", (r) => r.gigabytes.toFixed(2)],
  ["of roof", (r) => formatBound(r)],
  ["clock", (r) => (r.clock === "timestamps" ? "GPU" : "wall")],
];

/** The part of the roof that binds a kernel. */
function formatBound({ ofArithmetic, ofRead }: KernelRow): string {
  const part = Math.max(ofArithmetic, ofRead);
  return `${(100 * part).toFixed(0)}% ${ofArithmetic > ofRead ? "FMA" : "read"}`;
}

function milliseconds(ms: number): string {
  return ms.toPrecision(3);
}

/** A line a case, the columns aligned. */
export function formatTable(rows: readonly KernelRow[]): string {
  const lines = [columns.map(([title]) => title), ...rows.map((r) => columns.map(([, cell]) => cell(r)))];
  const widths = columns.map((_, i) => Math.max(...lines.map((line) => line[i]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, i) => (i < 2 ? cell.padEnd(widths[i] as number) : cell.padStart(widths[i] as number)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** One case while the run goes on. */
export function formatProgress(row: KernelRow, index: number, count: number): string {
  return `[${index}/${count}] ${row.name}: ${milliseconds(row.time.median)} ms, ${formatBound(row)} (${row.variant})`;
}

/** A row a case, with the conditions repeated in each, so that files can be joined. */
export function formatCsv({ conditions, size, roofs, rows }: KernelReport): string {
  const fields: [string, (r: KernelRow) => string | number | boolean | undefined][] = [
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
    ["adapter", () => conditions.adapter.device],
    ["driver", () => conditions.adapter.description],
    ["software", () => conditions.adapter.software],
    ["load", () => conditions.load],
    ["commit", () => conditions.commit],
    ["date", () => conditions.date],
  ];
  const lines = [
    fields.map(([name]) => name),
    ...rows.map((r) => fields.map(([, value]) => quoted(value(r)))),
  ];
  return `${lines.map((line) => line.join(",")).join("\n")}\n`;
}

function quoted(value: string | number | boolean | undefined): string {
  const text = String(value ?? "");
  return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
