import { writeFile } from "node:fs/promises";
import { checkFiles, type PendingFile, writeAll } from "../output-files.ts";
import { rasterize } from "../pictures/index.ts";
import { formatCsv } from "./csv.ts";
import type { EvalOutput } from "./eval-output.ts";
import type { EvalFlags } from "./flags.ts";
import { drawPlot } from "./plot.ts";

/** Throws where what the flags name cannot be written, before any work is done for it. */
export async function checkEvalOutputs(flags: EvalFlags): Promise<void> {
  const { answers, csv, saveJson, plot = [], model, baseline, compare = [], dataset } = flags;
  const files = [
    ["--answers", answers],
    ["--csv", csv],
    ["--save-json", saveJson],
    ...plot.map((file) => ["--plot", file] as const),
  ] as const;
  await checkFiles(files, [model, baseline, ...compare.map(({ folder }) => folder)], [dataset]);
}

/** Writes the files that the flags name, or none. */
export async function writeEvalOutputs(
  output: EvalOutput,
  flags: EvalFlags,
  signal: AbortSignal,
): Promise<void> {
  const { csv, saveJson, plot = [] } = flags;
  const files: PendingFile[] = [];
  const add = (flag: string, file: string, content: string | Uint8Array) =>
    files.push({ flag, file, write: (to) => writeFile(to, content) });
  if (csv !== undefined) add("--csv", csv, formatCsv(output.configurations));
  if (saveJson !== undefined) add("--save-json", saveJson, `${JSON.stringify(output, null, 2)}\n`);
  if (plot.length > 0) {
    const { questions, pictures } = output.dataset;
    const svg = await drawPlot(output.configurations, {
      title: "Accuracy against visual tokens",
      subtitle: `${questions} questions about ${pictures} pictures; bands are 95% intervals`,
    });
    for (const file of plot) add("--plot", file, /\.png$/i.test(file) ? rasterize(svg) : svg);
  }
  await writeAll(files, signal);
}
