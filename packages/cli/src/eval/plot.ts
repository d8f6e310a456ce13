import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import type { ConfigurationResult } from "./tally.ts";

/** Family of the typeface that comes with the program, and what stands in for it where an SVG is shown without it. */
const font = "Inter, system-ui, sans-serif";
const size = { width: 620, height: 380 } as const;
const ink = "#1c2330";
const faint = "#5b6575";
/** Okabe and Ito's colours, which read with any colour vision. */
const policyColours = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"] as const;
const baselineColour = "#4a4f59";

interface Point {
  readonly tokens: number;
  readonly accuracy: number;
  readonly low: number;
  readonly high: number;
  readonly policy: string;
}

function pointOf(
  { visualTokens, accuracy, interval: [low, high] }: ConfigurationResult,
  policy: string,
): Point {
  return { tokens: visualTokens, accuracy, low, high, policy };
}

/** Points of a line a policy. What drops nothing ends every line. */
export function linesOf(configurations: readonly ConfigurationResult[]): Point[] {
  const measured = configurations.filter(({ role }) => role === "main" || role === "budget");
  const policies = [...new Set(measured.flatMap(({ dropPolicy }) => dropPolicy ?? []))];
  const names = policies.length > 0 ? policies : ["all tokens"];
  return names.flatMap((policy) =>
    measured
      .filter(({ dropPolicy }) => dropPolicy === null || dropPolicy === policy)
      .map((configuration) => pointOf(configuration, policy)),
  );
}

/** Accuracy against visual tokens as SVG: a line a drop policy with 95% intervals, and the baseline. */
export async function drawPlot(
  configurations: readonly ConfigurationResult[],
  heading: { readonly title: string; readonly subtitle: string },
): Promise<string> {
  const spec = specOf(configurations, heading);
  const view = new View(parse(compile(spec).spec), { renderer: "none" });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specOf(
  configurations: readonly ConfigurationResult[],
  { title, subtitle }: { readonly title: string; readonly subtitle: string },
): TopLevelSpec {
  const points = linesOf(configurations);
  const policies = [...new Set(points.map(({ policy }) => policy))];
  const baselines = configurations.flatMap((c) => (c.role === "baseline" ? [pointOf(c, c.name)] : []));
  const all = [...points, ...baselines];
  const lowest = Math.min(...all.map(({ low }) => low));
  const y = {
    field: "accuracy",
    type: "quantitative",
    title: "accuracy",
    axis: { format: "%" },
    scale: { domain: [Math.max(0, Math.floor(lowest * 10 - 0.5) / 10), 1] },
  } as const;
  const x = {
    field: "tokens",
    type: "quantitative",
    title: "visual tokens",
    scale: { domain: [0, 1.04 * Math.max(...all.map(({ tokens }) => tokens))], nice: true },
  } as const;
  const colour = {
    field: "policy",
    type: "nominal",
    title: policies.length > 1 ? "objects kept by" : null,
    scale: { domain: policies, range: policyColours.slice(0, policies.length) },
    legend: policies.length > 1 ? {} : null,
  } as const;
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    ...size,
    background: "white",
    padding: 20,
    title: { text: title, subtitle, anchor: "start", offset: 16 },
    config: {
      font,
      title: { fontSize: 19, subtitleFontSize: 13, color: ink, subtitleColor: faint, fontWeight: 700 },
      axis: {
        labelFontSize: 13,
        titleFontSize: 14,
        labelColor: faint,
        titleColor: ink,
        gridColor: "#e6e9ee",
        titleFontWeight: 500,
        titlePadding: 10,
        domainColor: "#9aa3b0",
        tickColor: "#9aa3b0",
      },
      legend: {
        labelFontSize: 13,
        titleFontSize: 13,
        labelColor: ink,
        titleColor: faint,
        titleFontWeight: 500,
        symbolStrokeWidth: 3,
      },
      view: { stroke: null },
    },
    layer: [
      {
        data: { values: points },
        encoding: { x, color: colour },
        layer: [
          {
            mark: { type: "area", opacity: 0.12, line: false },
            encoding: { y: { ...y, field: "low" }, y2: { field: "high" } },
          },
          { mark: { type: "line", strokeWidth: 2.5 }, encoding: { y } },
          { mark: { type: "point", filled: true, size: 64, opacity: 1 }, encoding: { y } },
        ],
      },
      ...(baselines.length > 0 ? baselineLayers(baselines, x, y) : []),
    ],
  } as TopLevelSpec;
}

/** A dashed line at the baseline's accuracy, its interval, and what it is. */
function baselineLayers(baselines: readonly Point[], x: object, y: object): object[] {
  const values = baselines.map((point) => ({
    ...point,
    label: `LLaVA, all ${Math.round(point.tokens)} patch tokens: ${(100 * point.accuracy).toFixed(1)}%`,
  }));
  const data = { values };
  return [
    {
      data,
      mark: { type: "rule", strokeDash: [6, 4], color: baselineColour, strokeWidth: 1.5 },
      encoding: { y },
    },
    {
      data,
      mark: { type: "rule", color: baselineColour, strokeWidth: 2 },
      encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
    },
    {
      data,
      mark: { type: "point", filled: true, shape: "diamond", size: 150, color: baselineColour, opacity: 1 },
      encoding: { x, y },
    },
    {
      data,
      mark: {
        type: "text",
        align: "right",
        baseline: "bottom",
        dy: -10,
        fontSize: 13,
        color: baselineColour,
      },
      encoding: { x, y, text: { field: "label" } },
    },
  ];
}
