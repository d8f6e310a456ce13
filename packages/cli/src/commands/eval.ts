import { Command } from "commander";
import type { AnswerLine } from "../eval/answer-line.ts";
import { AnswersFile } from "../eval/answers-file.ts";
import type { EvalPicture } from "../eval/dataset.ts";
import type { EvalOutput } from "../eval/eval-output.ts";
import { evaluate, expectedLines, picturesDone, type Row } from "../eval/evaluate.ts";
import { addEvalFlags, checkEvalFlags, type EvalFlags } from "../eval/flags.ts";
import { measure } from "../eval/measure.ts";
import { openDataset } from "../eval/open-dataset.ts";
import { checkEvalOutputs, writeEvalOutputs } from "../eval/outputs.ts";
import { planRun, rowsOf } from "../eval/plan.ts";
import type { Respondent } from "../eval/respondents.ts";
import { formatTables } from "../eval/table.ts";
import { addRunFlags, modelFlag } from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import { type Io, say } from "../io.ts";
import { withProgress } from "../progress.ts";
import { reportCost } from "../report.ts";
import { Stopwatch } from "../stopwatch.ts";

/** `mask-llava eval`: how well a checkpoint answers. */
export function evalCommand(io: Io): Command {
  const command = new Command("eval")
    .description(
      "measure how well a checkpoint answers the questions of a data set, by budget of visual tokens",
    )
    .addOption(
      modelFlag("checkpoint folder with mask_llava.json, or of a LLaVA model in Hugging Face's layout"),
    );
  return addRunFlags(addEvalFlags(command))
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
  mask-llava eval --dataset scenes --model mask-llava --tokens 8,16,24,all --drop-policy score,area,diverse,random
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
  const dataset = await watch.time("readDataset", () => openDataset(flags.dataset, flags.imageFolder));
  const pictures = dataset.pictures.slice(0, flags.limit);
  const rows = await rowsOf(planned, dataset, flags, io.signal);
  const { answers, lines: before } = await openAnswers(flags, pictures, rows);
  const respondents: Respondent[] = [];
  try {
    await withDevice(flags, io, watch, async (device) => {
      try {
        const done = picturesDone(before.length, rows.length, pictures);
        if (done > 0) say(io, `${done} of ${pictures.length} pictures have their answers already`);
        const left = pictures.slice(done);
        for (const { load } of left.length > 0 ? planned : []) {
          respondents.push(await watch.time("load", () => load(device)));
        }
        const work = { pictures: left, respondents, rows, suffix: flags.suffix ?? "", answers };
        const lines = await watch.time("evaluate", () =>
          withProgress(
            io.stderr,
            "asking",
            (onProgress) => evaluate(work, io.signal, onProgress),
            (n) => `${n} answers`,
          ),
        );
        const measured = measure([...before, ...lines], rows);
        const output: EvalOutput = {
          accuracy: measured.configurations[0]?.accuracy ?? 0,
          command: "eval",
          ...(await commonOutput(device, flags, watch)),
          dataset: {
            path: flags.dataset,
            kind: dataset.kind,
            pictures: pictures.length,
            questions: pictures.reduce((sum, { questions }) => sum + questions.length, 0),
            fingerprint: dataset.fingerprint,
          },
          ...measured,
        };
        await tell(output, flags, io);
      } finally {
        for (const respondent of respondents) respondent[Symbol.dispose]();
      }
    });
  } finally {
    await answers?.close();
  }
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
