import { formatBytes, type NetworkArithmetic } from "@mask-llava/runtime";
import type { TopLevelSpec } from "vega-lite";
import { type Conditions, formatConditions } from "../common/conditions.ts";
import { conditionFields, type Field, formatCsv } from "../common/csv.ts";
import { type Column, formatTable, milliseconds } from "../common/table.ts";
import type { TokenCost, TokenPlan, TokenResults, TokenRow } from "./measure.ts";
import type { SubjectDTypes } from "./subject.ts";

export interface TokenReport extends TokenResults {
  readonly benchmark: "tokens";
  readonly subject: SubjectDTypes & {
    readonly name: string;
    readonly weightBytes: number;
    readonly textTokens: number;
    readonly kvBytesPerToken: number;
    readonly imageWork: Readonly<Record<string, number>> | undefined;
  };
  readonly plan: TokenPlan;
  readonly arithmetic: NetworkArithmetic;
  readonly conditions: Conditions;
  /** GPU bytes at most, weights included. */
  readonly peakGpu: number;
  /** The same as predicted from shapes before; absent for checkpoints, whose image networks add theirs. */
  readonly predictedGpu: number | undefined;
  /** Largest resident memory of the process; on a software adapter with what is called GPU memory here. */
  readonly peakHost: number;
  /** Wall seconds of the whole run. */
  readonly seconds: number;
}

const columns: readonly Column<TokenRow>[] = [
  { title: "composition", cell: (r) => r.composition, text: true },
  { title: "visual tokens", cell: (r) => `${r.visualTokens}` },
  { title: "prompt", cell: (r) => `${r.promptTokens}` },
  { title: "compose ms", cell: (r) => milliseconds(r.compose.median) },
  { title: "prefill ms", cell: (r) => milliseconds(r.prefill.median) },
  { title: "first token ms", cell: (r) => milliseconds(r.firstToken.median) },
  { title: "spread", cell: (r) => `${(100 * r.firstToken.spread).toFixed(0)}%` },
  { title: "prompt tok/s", cell: (r) => r.prefillRate.toFixed(1) },
  { title: "ms a token", cell: (r) => milliseconds(r.step.median) },
  { title: "tok/s", cell: (r) => r.decodeRate.toFixed(2) },
  { title: "answers/min", cell: (r) => r.answersPerMinute.toFixed(1) },
  { title: "KV cache", cell: (r) => formatBytes(r.kvBytes) },
];

/** The whole report, for a terminal. */
export function formatReport(report: TokenReport): string {
  const { conditions, subject, plan, arithmetic, rows, costs, seconds } = report;
  const image = Object.entries(subject.imageWork ?? {}).map(
    ([stage, ms]) => `${stage} ${milliseconds(ms)} ms`,
  );
  return [
    formatConditions(conditions),
    `model      ${subject.name}, ${subject.dtype}, keys and values in ${subject.kvDtype}, ${formatBytes(subject.weightBytes)} of weights, ${arithmetic} arithmetic`,
    `memory     ${formatMemory(report)}`,
    `prompt     ${subject.textTokens} tokens of text and the visual ones; answers of ${plan.newTokens} tokens; ${plan.rounds} rounds`,
    `picture    ${image.length > 0 ? `${image.join(", ")}; done once, and not in the times below` : "its features are given"}`,
    "",
    formatTable(columns, rows),
    "",
    ...costs.map(formatCost),
    `${rows.length} rows in ${seconds.toFixed(0)} s`,
  ].join("\n");
}

function formatMemory({ peakGpu, predictedGpu, peakHost }: TokenReport): string {
  const predicted = predictedGpu
    ? ` (${formatBytes(predictedGpu)} predicted, ${(100 * (peakGpu / predictedGpu - 1)).toFixed(1)}% off)`
    : "";
  return `at most ${formatBytes(peakGpu)} on the GPU${predicted}; process at most ${formatBytes(peakHost)}`;
}

function formatCost({ composition, of, fit }: TokenCost): string {
  const scale = of === "further token" ? 1e3 : 1;
  const unit = of === "further token" ? "us" : "ms";
  const [slope, error] = [fit.slope * scale, fit.standardError * scale];
  return `${composition}: a visual token costs ${slope.toPrecision(3)} +- ${error.toPrecision(2)} ${unit} of the ${of} (from ${milliseconds(Math.max(fit.intercept, 1e-3))} ms without any; R² ${fit.r2.toFixed(3)})`;
}

/** A row a composition and number of tokens. */
export function csvOf({ conditions, subject, plan, arithmetic, rows }: TokenReport): string {
  const fields: Field<TokenRow>[] = [
    ["composition", (r) => r.composition],
    ["visual_tokens", (r) => r.visualTokens],
    ["prompt_tokens", (r) => r.promptTokens],
    ["compose_median_ms", (r) => r.compose.median],
    ["prefill_median_ms", (r) => r.prefill.median],
    ["first_token_median_ms", (r) => r.firstToken.median],
    ["first_token_min_ms", (r) => r.firstToken.min],
    ["step_median_ms", (r) => r.step.median],
    ["step_min_ms", (r) => r.step.min],
    ["answer_median_ms", (r) => r.answer.median],
    ["prompt_tokens_per_s", (r) => r.prefillRate],
    ["tokens_per_s", (r) => r.decodeRate],
    ["answers_per_minute", (r) => r.answersPerMinute],
    ["kv_bytes", (r) => r.kvBytes],
    ["samples", (r) => r.firstToken.samples],
    ["new_tokens", () => plan.newTokens],
    ["model", () => subject.name],
    ["dtype", () => subject.dtype],
    ["kv_dtype", () => subject.kvDtype],
    ["arithmetic", () => arithmetic],
    ...conditionFields(conditions),
  ];
  return formatCsv(fields, rows);
}

/** Okabe and Ito's colours, which read with any colour vision. */
const colours = { "Mask-LLaVA": "#d55e00", LLaVA: "#0072b2" } as const;

/** Two panels over the number of visual tokens: time to the first token with its fitted line, and the decoder's speed. */
export function chartOf({ conditions, subject, rows, costs }: TokenReport): TopLevelSpec {
  const names = [...new Set(rows.map((r) => r.composition))];
  const color = {
    field: "composition",
    type: "nominal",
    title: null,
    scale: { domain: names, range: names.map((name) => colours[name]) },
    legend: { orient: "top" },
  } as const;
  const x = {
    field: "visualTokens",
    type: "quantitative",
    title: "visual tokens",
    scale: { nice: false, domainMin: 0 },
  } as const;
  const most = Math.max(...rows.map((r) => r.visualTokens));
  const fits = costs.filter(({ of }) => of === "first token");
  const lines = fits.flatMap(({ composition, fit }) =>
    [0, most].map((n) => ({ composition, visualTokens: n, value: fit.intercept + n * fit.slope })),
  );
  const points = (of: (r: TokenRow) => { low: number; value: number; high: number }) =>
    rows.map((r) => ({ composition: r.composition, visualTokens: r.visualTokens, ...of(r) }));
  const panel = (title: string, values: object[], layers: object[]) => ({
    width: 330,
    height: 240,
    title: { text: title, anchor: "start", fontSize: 11, fontWeight: 500 },
    data: { values },
    encoding: {
      x,
      color,
      y: { field: "value", type: "quantitative", title: null, scale: { domainMin: 0 } },
    },
    layer: [
      {
        mark: { type: "rule", opacity: 0.5 },
        encoding: { y: { field: "low", type: "quantitative" }, y2: { field: "high" } },
      },
      { mark: { type: "point", filled: true, size: 50, opacity: 1 } },
      ...layers,
    ],
  });
  const { device, description, software } = conditions.adapter;
  const costText = fits.map(
    ({ composition, fit }) =>
      `${composition} ${fit.slope.toPrecision(3)} ± ${fit.standardError.toPrecision(2)} ms a visual token`,
  );
  return {
    title: {
      text: "What visual tokens cost",
      subtitle: [
        `${subject.name}, ${subject.dtype}, on ${device || description}${software ? " (software adapter)" : ""}`,
        ...(costText.length > 0 ? [costText.join("; ")] : []),
      ],
      anchor: "start",
    },
    hconcat: [
      panel(
        "Milliseconds to the first token, with the fitted line",
        points((r) => band(r.firstToken.median, r.firstToken.spread)),
        [{ data: { values: lines }, mark: { type: "line", strokeWidth: 1.5 } }],
      ),
      panel(
        "New tokens per second",
        points((r) => {
          const { low, high } = band(r.step.median, r.step.spread);
          return { low: 1e3 / high, value: r.decodeRate, high: 1e3 / Math.max(low, 1e-9) };
        }),
        [{ mark: { type: "line", strokeWidth: 1.5 } }],
      ),
    ],
  } as TopLevelSpec;
}

/** Half of the quartiles' distance on either side of the median. */
function band(median: number, spread: number): { low: number; value: number; high: number } {
  return { low: median * (1 - spread / 2), value: median, high: median * (1 + spread / 2) };
}
