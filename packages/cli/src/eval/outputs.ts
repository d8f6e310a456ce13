import { writeFile } from "node:fs/promises";
import { checkFiles, type PendingFile, writeAll } from "../output-files.ts";
import { rasterize } from "../pictures/index.ts";
import { refuseFilesOf } from "../save-tensors.ts";
import { formatCsv } from "./csv.ts";
import type { EvalSet } from "./dataset.ts";
import type { EvalOutput } from "./eval-output.ts";
import type { EvalFlags } from "./flags.ts";
import { filesOf } from "./open-dataset.ts";
import { drawPlot } from "./plot.ts";

/**
 * Throws where what the flags name cannot be written, or would replace a file of a checkpoint or of a data set's folder,
 * before any work is done for it.
 */
export async function checkEvalOutputs(flags: EvalFlags): Promise<void> {
  const { model, baseline, compare = [], dataset, probeDataset } = flags;
  const files = outputsOf(flags);
  await checkFiles(files, [model, baseline, ...compare.map(({ folder }) => folder)], [dataset]);
  for (const [flag, file] of files) {
    // the answers replace no file: they go on from their own, which may lie with what they answer
    if (flag === "--answers") continue;
    for (const owner of [dataset, probeDataset]) {
      if (owner !== undefined) await refuseFilesOf("data set", owner, file, flag);
    }
  }
}

/** Throws where what the flags name would replace a file that one of `sets` is read from, wherever that lies. */
export async function checkEvalInputs(flags: EvalFlags, sets: readonly EvalSet[]): Promise<void> {
  await checkFiles(outputsOf(flags), [], sets.flatMap(filesOf));
}

function outputsOf({
  answers,
  csv,
  saveJson,
  plot = [],
}: EvalFlags): (readonly [flag: string, file: string])[] {
  const files = [
    ["--answers", answers],
    ["--csv", csv],
    ["--save-json", saveJson],
    ...plot.map((file) => ["--plot", file] as const),
  ] as const;
  return files.flatMap(([flag, file]) => (file === undefined ? [] : [[flag, file] as const]));
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
