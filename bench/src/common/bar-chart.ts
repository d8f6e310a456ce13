import type { TopLevelSpec } from "vega-lite";
import type { PositionDef } from "vega-lite/types_unstable/channeldef.js";
import type { Conditions } from "./conditions.ts";

export interface Bar {
  readonly name: string;
  /** Above 0. */
  readonly value: number;
  /** Printed beside the bar. */
  readonly label: string;
  /** Drawn in the colour of what is good; else of what is not. */
  readonly good: boolean;
}

export interface BarChart {
  readonly title: string;
  readonly conditions: Conditions;
  readonly axis: string;
  /** Bars begin here on the logarithmic axis; default: at the power of ten below the smallest. */
  readonly baseline?: number;
  readonly bars: readonly Bar[];
}

/** A bar a case, on a logarithmic axis, as times and ratios spread over decades. */
export function barChart({ title, conditions, axis, bars, ...rest }: BarChart): TopLevelSpec {
  const values = bars.map((bar) => bar.value);
  const baseline = rest.baseline ?? 10 ** Math.floor(Math.log10(Math.min(...values)));
  const low = Math.min(baseline, ...values);
  const high = Math.max(baseline, ...values) * 1.3; // room for labels
  const { device, description, software } = conditions.adapter;
  const y = {
    field: "name",
    type: "nominal",
    sort: null,
    axis: { title: null, labelLimit: 0, ticks: false },
  } satisfies PositionDef<string>;
  const x = {
    field: "value",
    type: "quantitative",
    scale: { type: "log", domain: [low, high], nice: false },
    axis: { title: axis },
  } satisfies PositionDef<string>;
  return {
    title: {
      text: title,
      subtitle: `${device || description}${software ? " (software adapter)" : ""}`,
      anchor: "start",
    },
    data: { values: bars.map((bar) => ({ ...bar, baseline })) },
    width: 480,
    height: { step: 16 },
    layer: [
      {
        mark: { type: "bar" },
        encoding: {
          y,
          x: { ...x, field: "baseline" },
          x2: { field: "value" },
          color: {
            field: "good",
            type: "nominal",
            scale: { domain: [true, false], range: ["#2a7f62", "#b3432b"] },
            legend: null,
          },
        },
      },
      {
        mark: { type: "text", align: "left", dx: 3, fontSize: 9 },
        encoding: { y, x, text: { field: "label", type: "nominal" } },
      },
    ],
  };
}
