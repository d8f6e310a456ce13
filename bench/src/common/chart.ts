import { createRequire } from "node:module";
import { Resvg } from "@resvg/resvg-js";
import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";
import { writeWhole } from "./output-file.ts";

const formats = ["svg", "png"] as const;
export type ChartFormat = (typeof formats)[number];

/** The typeface comes with the program, so that pictures look the same on a machine without any. */
const family = "Inter";
const fontFiles = ["500Medium/Inter_500Medium.ttf", "700Bold/Inter_700Bold.ttf"];

/** Pixels of a PNG for each of the SVG's. */
const pixelRatio = 2;

/** The format that a file's name ends with; undefined where it is none of ours. */
export function chartFile(file: string): ChartFormat | undefined {
  return formats.find((format) => file.toLowerCase().endsWith(`.${format}`));
}

/** Draws a chart into a .svg or a .png file. */
export async function writeChart(file: string, spec: TopLevelSpec): Promise<void> {
  const svg = await drawChart(spec);
  await writeWhole(file, chartFile(file) === "png" ? rasterize(svg) : svg);
}

export async function drawChart(spec: TopLevelSpec): Promise<string> {
  const { spec: compiled } = compile({
    ...spec,
    background: "white",
    config: { font: family, title: { font: family }, ...spec.config },
  });
  return await new View(parse(compiled), { renderer: "none" }).toSVG();
}

function rasterize(svg: string): Uint8Array {
  const { resolve } = createRequire(import.meta.url);
  return new Resvg(svg, {
    fitTo: { mode: "zoom", value: pixelRatio },
    font: {
      fontFiles: fontFiles.map((name) => resolve(`@expo-google-fonts/inter/${name}`)),
      loadSystemFonts: false,
      defaultFontFamily: family,
    },
  })
    .render()
    .asPng();
}
