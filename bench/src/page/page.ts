import { mkdir, readdir, readFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { TopLevelSpec } from "vega-lite";
import { writeChart } from "../common/chart.ts";
import type { Conditions } from "../common/conditions.ts";
import { writeWhole } from "../common/output-file.ts";
import type { KernelReport } from "../kernels/index.ts";
import * as kernels from "../kernels/report.ts";
import type { ModelReport } from "../models/index.ts";
import * as models from "../models/report.ts";
import type { PeerReport } from "../peers/index.ts";
import * as peers from "../peers/report.ts";
import * as tokens from "../tokens/report.ts";

type Report = KernelReport | ModelReport | PeerReport | tokens.TokenReport;

interface Section {
  readonly title: string;
  readonly text: string;
  readonly chart: TopLevelSpec;
}

/** In the order of the page. */
const kinds = ["peers", "tokens", "models", "kernels"] as const satisfies readonly Report["benchmark"][];

const titles: Readonly<Record<Report["benchmark"], string>> = {
  peers: "Against ONNX Runtime's WebGPU provider",
  tokens: "What a visual token costs",
  models: "Networks",
  kernels: "Kernels",
};

function sectionOf(report: Report): Section {
  const title = `${titles[report.benchmark]}: ${adapterOf(report.conditions)}`;
  switch (report.benchmark) {
    case "kernels":
      return { title, text: kernels.formatReport(report), chart: kernels.chartOf(report) };
    case "models":
      return { title, text: models.formatReport(report), chart: models.chartOf(report) };
    case "peers":
      return { title, text: peers.formatReport(report), chart: peers.chartOf(report) };
    case "tokens":
      return { title, text: tokens.formatReport(report), chart: tokens.chartOf(report) };
  }
}

function adapterOf({ adapter: { description, device, software } }: Conditions): string {
  return `${description || device}${software ? " (software)" : ""}`;
}

/** Reports among the JSON files of a folder, with their files' names; other files are passed over. */
async function readReports(folder: string): Promise<{ name: string; report: Report }[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith(".json")).sort();
  const found = [];
  for (const file of files) {
    let report: Partial<Report>;
    try {
      report = JSON.parse(await readFile(join(folder, file), "utf8")) as Partial<Report>;
    } catch (cause) {
      throw new Error(`${join(folder, file)}: is no JSON`, { cause });
    }
    if (kinds.some((kind) => kind === report.benchmark))
      found.push({ name: basename(file, ".json"), report: report as Report });
  }
  return found.sort((a, b) => kinds.indexOf(a.report.benchmark) - kinds.indexOf(b.report.benchmark));
}

/**
 * Writes a Markdown page with every report of a folder, and its plots into a folder beside it. Returns how many there are.
 * Throws where a file is no JSON, or none is a report.
 */
export async function writePage(folder: string, out: string): Promise<number> {
  const reports = await readReports(folder);
  if (reports.length === 0) throw new Error(`${folder}: holds no report of these benchmarks`);
  const plots = basename(out, ".md");
  await mkdir(join(dirname(out), plots), { recursive: true });
  const lines = [
    "# Benchmarks",
    "",
    "Made by `npm run bench -- page` from the files in `bench/results`; each section was one run of the command that bears its " +
      "name, and tells its conditions. Figures of software adapters are those of a processor and say little about a GPU; what " +
      "they do show is how two libraries use the same one.",
    "",
  ];
  for (const { name, report } of reports) {
    const { title, text, chart } = sectionOf(report);
    await writeChart(join(dirname(out), plots, `${name}.svg`), chart);
    lines.push(`## ${title}`, "", `![${title}](${plots}/${name}.svg)`, "", "```text", text, "```", "");
  }
  await writeWhole(out, `${lines.join("\n").trimEnd()}\n`);
  return reports.length;
}
