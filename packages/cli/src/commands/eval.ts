import type { MaskLlava } from "@mask-llava/composer";
import type { Device } from "@mask-llava/runtime";
import { Command } from "commander";
import { sayEmbedded } from "../embedded.ts";
import type { AnswerLine } from "../eval/answer-line.ts";
import { AnswersFile } from "../eval/answers-file.ts";
import type { EvalPicture, EvalSet } from "../eval/dataset.ts";
import type { EvalOutput } from "../eval/eval-output.ts";
import { type Evaluation, evaluate, expectedLines, picturesDone, type Row } from "../eval/evaluate.ts";
import { addEvalFlags, checkEvalFlags, type EvalFlags } from "../eval/flags.ts";
import { measure } from "../eval/measure.ts";
import { openDataset, openScenes } from "../eval/open-dataset.ts";
import { checkEvalInputs, checkEvalOutputs, writeEvalOutputs } from "../eval/outputs.ts";
import type { Probing } from "../eval/picture-measures.ts";
import { type Planned, planRun, rowsOf } from "../eval/plan.ts";
import { trainProbes } from "../eval/probe/train-probes.ts";
import type { Respondent } from "../eval/respondents.ts";
import { formatTables } from "../eval/table.ts";
import { addRunFlags, modelFlag } from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import { type Io, say } from "../io.ts";
import type { CommonOutput } from "../output.ts";
import { withProgress } from "../progress.ts";
import { reportCost } from "../report.ts";
import { Stopwatch } from "../stopwatch.ts";
import { sayIdleArithmetic } from "../weight-dtype.ts";

/** `mask-llava eval`: how well a checkpoint answers. */
export function evalCommand(io: Io): Command {
  const command = new Command("eval")
    .description(
      "measure how well a checkpoint answers the questions of a data set, by budget of visual tokens",
    )
    .addOption(
      modelFlag(
        "checkpoint folder with mask_llava.json, or of a LLaVA model in Hugging Face's layout (default: the embedded one)",
      ),
    );
  // a measurement must repeat, whatever the memory
  return addRunFlags(addEvalFlags(command), { dtype: "f32" })
    .addHelpText(
      "after",
      `
A JSONL file has a line a question: {"question_id", "image", "text" or "question", "answer" or "answers" (any of them is
right), "kind" or "category"}. Answers are the likeliest tokens; one is right where it equals the expected one without
regard to case, space around and one full stop at the end. Intervals are Wilson's at 95%.
The main configuration is that of all tokens or, where --tokens does not name all, of the largest budget and the first
policy. --objects, --patch-grid, --no-cls, --no-patches and --no-background hold for every budget; --ablations, --compare and
--baseline take each checkpoint as it is.
A picture is analysed once, and all its configurations are measured before the next one. After an interruption --resume
goes on from the file of --answers, if data set, checkpoints and configurations are the same.

Examples:
  mask-llava scenes --seed 7 --count 500 --out scenes
  mask-llava eval --dataset scenes --tokens 8,16,24,all --drop-policy score,area,diverse,random
  mask-llava eval --dataset scenes --model mask-llava --tokens 8,16,24,all --baseline llava --ablations --plot a.svg --plot a.png
  mask-llava eval --dataset pope.jsonl --image-folder val2014 --model llava-1.5-7b-hf --dtype f16 --answers a.jsonl --resume`,
    )
    .action((flags: EvalFlags) => evaluateModel(flags, io));
}

async function evaluateModel(flags: EvalFlags, io: Io): Promise<void> {
  const watch = new Stopwatch();
  checkEvalFlags(flags);
  await checkEvalOutputs(flags);
  const planned = await planRun(flags, io);
  sayEmbedded(flags, io);
  sayIdleArithmetic(flags, io);
  const [dataset, probeSet] = await watch.time("readDataset", async () => [
    await openDataset(flags.dataset, flags.imageFolder),
    flags.probeDataset === undefined ? undefined : await openScenes(flags.probeDataset),
  ]);
  await checkEvalInputs(flags, probeSet ? [dataset, probeSet] : [dataset]);
  const pictures = dataset.pictures.slice(0, flags.limit);
  const rows = await rowsOf(planned, [dataset, probeSet], flags, io.signal);
  const { answers, lines: before } = await openAnswers(flags, pictures, rows);
  try {
    await withDevice(flags, io, watch, async (device) => {
      const done = picturesDone(before.length, rows.length, pictures);
      if (done > 0) say(io, `${done} of ${pictures.length} pictures have their answers already`);
      const work = { pictures: pictures.slice(done), rows, suffix: flags.suffix ?? "", answers };
      const lines = done < pictures.length ? await askAll(device, planned, probeSet, work, io, watch) : [];
      const output = outputOf([...before, ...lines], rows, dataset, pictures);
      await tell({ ...output, ...(await commonOutput(device, flags, watch)) }, flags, io);
    });
  } finally {
    await answers?.close();
  }
}

/** Loads the checkpoints, trains probes, and asks. */
async function askAll(
  device: Device,
  planned: readonly Planned[],
  probeSet: EvalSet | undefined,
  work: Omit<Evaluation, "respondents" | "probing">,
  io: Io,
  watch: Stopwatch,
): Promise<AnswerLine[]> {
  const respondents: Respondent[] = [];
  try {
    for (const { load } of planned) respondents.push(await watch.time("load", () => load(device)));
    const maskLlava = respondents[0]?.maskLlava;
    const probing =
      probeSet && maskLlava && (await watch.time("probes", () => trainWithProgress(maskLlava, probeSet, io)));
    return await watch.time("evaluate", () =>
      withProgress(
        io.stderr,
        "asking",
        (onProgress) => evaluate({ ...work, respondents, probing }, io.signal, onProgress),
        (n) => `${n} answers`,
      ),
    );
  } finally {
    for (const respondent of respondents) respondent[Symbol.dispose]();
  }
}

async function trainWithProgress(maskLlava: MaskLlava, { pictures }: EvalSet, io: Io): Promise<Probing> {
  const probes = await withProgress(
    io.stderr,
    "looking at objects for probes",
    (onProgress) => trainProbes(maskLlava, pictures, io.signal, onProgress),
    (n) => `${n} scenes`,
  );
  return { probes, patchSize: maskLlava.patchSize };
}

/** What is told, but for what every command tells. The accuracy comes first. */
function outputOf(
  lines: readonly AnswerLine[],
  rows: readonly Row[],
  { path, kind, fingerprint }: EvalSet,
  pictures: readonly EvalPicture[],
): Omit<EvalOutput, keyof CommonOutput> {
  const measured = measure(lines, rows);
  const questions = pictures.reduce((sum, picture) => sum + picture.questions.length, 0);
  return {
    accuracy: measured.configurations[0]?.accuracy ?? 0,
    command: "eval",
    dataset: { path, kind, pictures: pictures.length, questions, fingerprint },
    ...measured,
  };
}

/** The file of `--answers`, and what it holds already with `--resume`. */
async function openAnswers(
  { answers: file, resume }: EvalFlags,
  pictures: readonly EvalPicture[],
  rows: readonly Row[],
): Promise<{ answers?: AnswersFile; lines: AnswerLine[] }> {
  if (file === undefined) return { lines: [] };
  if (!resume) return { answers: await AnswersFile.create(file), lines: [] };
  return AnswersFile.resume(
    file,
    pictures.map((picture) => expectedLines(picture, rows)),
  );
}

async function tell(output: EvalOutput, flags: EvalFlags, io: Io): Promise<void> {
  await writeEvalOutputs(output, flags, io.signal);
  io.stdout.write(flags.json ? `${JSON.stringify(output)}\n` : `${formatTables(output)}\n`);
  const { answers, csv, saveJson, plot = [] } = flags;
  if (answers !== undefined) say(io, `answers saved in ${answers}`);
  if (csv !== undefined) say(io, `CSV saved in ${csv}`);
  if (saveJson !== undefined) say(io, `JSON saved in ${saveJson}`);
  for (const file of plot) say(io, `plot saved in ${file}`);
  reportCost(output, flags, io);
}
