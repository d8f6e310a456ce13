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
    scale: { domain: [Math.max(0, Math.floor(lowest * 20) / 20), 1], nice: false },
  } as const;
  const x = xAxis(all.map(({ tokens }) => tokens));
  // a baseline's line may run just above the points; to their right is room for its tokens
  const place = baselines.length > 0 ? "beside" : "above";
  const colour = {
    field: "policy",
    type: "nominal",
    title: policies.length > 1 ? "objects kept by" : null,
    scale: { domain: policies, range: policyColours.slice(0, policies.length) },
    legend: policies.length > 1 ? { symbolOpacity: 1, symbolSize: 90 } : null,
  } as const;
  const shape = {
    ...colour,
    scale: { domain: policies, range: ["circle", "square", "diamond", "triangle-up"] },
  };
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
          { mark: { type: "point", filled: true, size: 64, opacity: 1 }, encoding: { y, shape } },
        ],
      },
      ...configurations
        .filter(({ role }) => role === "main")
        .map((main) => labelLayer(pointOf(main, main.name), main.name, { x, y, colour: ink, place })),
      ...(baselines.length > 0 ? baselineLayers(baselines, x, y) : []),
    ],
  } as TopLevelSpec;
}

/** Tokens on a logarithmic axis, as what a budget of 8 loses to 16 is as telling as what 64 lose to 128. */
function xAxis(tokens: readonly number[]) {
  const [least, most] = [Math.min(...tokens), Math.max(...tokens)].map((n) => Math.max(1, n)) as [
    number,
    number,
  ];
  const domain = [least / 1.25, most * 1.25];
  const values = Array.from({ length: 32 }, (_, i) => 2 ** i).filter(
    (n) => n >= (domain[0] as number) && n <= (domain[1] as number),
  );
  return {
    field: "tokens",
    type: "quantitative",
    title: "visual tokens (logarithmic)",
    scale: { type: "log", base: 2, domain, nice: false },
    axis: { values, format: "d" },
  } as const;
}

/** Where a label stands by its point, and at which of its values. */
const places = {
  above: { field: "high", align: "right", baseline: "bottom", dx: 4, dy: -6 },
  beside: { field: "accuracy", align: "left", baseline: "middle", dx: 10, dy: 0 },
} as const;

/** What a point is. */
function labelLayer(
  point: Point,
  name: string,
  { x, y, colour, place }: { x: object; y: object; colour: string; place: keyof typeof places },
): object {
  const label = `${name}: ${(100 * point.accuracy).toFixed(1)}%`;
  const { field, ...at } = places[place];
  return {
    data: { values: [{ ...point, label }] },
    mark: { type: "text", ...at, fontSize: 13, color: colour },
    encoding: { x, y: { ...y, field }, text: { field: "label" } },
  };
}

/** A dashed line at the baseline's accuracy, its interval, and what it is. */
function baselineLayers(baselines: readonly Point[], x: object, y: object): object[] {
  const data = { values: baselines };
  const color = baselineColour;
  return [
    { data, mark: { type: "rule", strokeDash: [6, 4], color, strokeWidth: 1.5 }, encoding: { y } },
    {
      data,
      mark: { type: "rule", color, strokeWidth: 2 },
      encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" } },
    },
    {
      data,
      mark: { type: "point", filled: true, shape: "diamond", size: 150, color, opacity: 1 },
      encoding: { x, y },
    },
    ...baselines.map((point) =>
      labelLayer(point, `LLaVA, all ${Math.round(point.tokens)} patch tokens`, {
        x,
        y,
        colour: color,
        place: "above",
      }),
    ),
  ];
}
