import { relative } from "node:path";
import { settingsFile } from "@mask-llava/composer";
import { Llava, type LlavaAnswer } from "@mask-llava/models";
import { decodeImage, WorkerTemplateRenderer } from "@mask-llava/models/node";
import { Command } from "commander";
import { answerTensors, checkGenerationFlags, finishAnswer, generationOptions } from "../answering.ts";
import { addBudgetFlags, type BudgetFlags, checkBudgetFlags, givenBudgetFlags } from "../budget-flags.ts";
import { example, sayEmbedded } from "../embedded.ts";
import { UsageError } from "../errors.ts";
import {
  addGenerationFlags,
  addModelFlags,
  filledText,
  type GenerationFlags,
  listFlag,
  type ModelFlags,
  mmprojFlag,
  modelFlag,
} from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import { type Io, say } from "../io.ts";
import { checkMmproj, findMaskLlavaFolder, openLlavaFolder } from "../model-folder.ts";
import type { AskOutput } from "../output.ts";
import { checkOutputs } from "../output-files.ts";
import {
  addOptions,
  type ObjectFileFlags,
  saveCocoFlag,
  saveMasksFlag,
  savePictureFlag,
} from "../picture-flags.ts";
import { withProgress } from "../progress.ts";
import { report } from "../report.ts";
import { type SavedTensors, writeTensors } from "../save-tensors.ts";
import { Stopwatch } from "../stopwatch.ts";
import { settleDtype } from "../weight-dtype.ts";
import { askMaskLlava } from "./ask-mask-llava.ts";

interface AskFlags extends ModelFlags, GenerationFlags, BudgetFlags, ObjectFileFlags {
  readonly image?: readonly string[];
  readonly mmproj?: string;
}

const defaultQuestion = "What is in the picture?";
const mark = "<image>";

/** `mask-llava ask`: an answer to a question about pictures. */
export function askCommand(io: Io): Command {
  const command = new Command("ask")
    .description("answer a question about a picture with LLaVA or Mask-LLaVA")
    .argument("[image]", "picture file: JPEG, PNG, GIF, WebP, TIFF or AVIF (default: an example)")
    .argument("[question]", `what to ask (default: "${defaultQuestion}")`)
    .addOption(
      modelFlag(
        "checkpoint folder of a LLaVA model in Hugging Face's layout, or one with mask_llava.json, or a GGUF file (default: the embedded one)",
      ),
    )
    .addOption(mmprojFlag("the mmproj file beside it"))
    .addOption(listFlag("--image <file>", "a further picture", filledText("a picture file")));
  return addOptions(
    addModelFlags(addGenerationFlags(addBudgetFlags(command))),
    savePictureFlag("a sheet of what each visual token looks at and which were dropped"),
    saveMasksFlag(),
    saveCocoFlag("the objects"),
  )
    .addHelpText(
      "after",
      `
The question is put into the model's chat template, or LLaVA-1.5's conversation where it has none; --raw-prompt takes it
as it is, with one ${mark} for each picture. What no flag says is taken from the model's generation_config.json. The
answer streams to stdout.
--save-tensors writes pixel_values, image_features, input_ids (${mark} expanded to one id a visual token), the logits
of the prompt, and sequences (prompt and new tokens).
With a Mask-LLaVA checkpoint, --tokens, --objects, --patch-grid, --no-cls, --no-patches, --no-background and
--drop-policy say which visual tokens the decoder is given, --seed serves the random policy too, and instead of
image_features the tensors of compose are written.

Examples:
  mask-llava ask
  mask-llava ask cat.jpg "What is the cat doing?" --model llava-1.5-7b-hf --dtype f16
  mask-llava ask before.png "What has changed?" --image after.png --model llava-1.5-7b-hf --temperature 0
  mask-llava ask cat.jpg "What is the cat doing?" --model llava-v1.5-7b-Q4_K_M.gguf
  mask-llava ask cat.jpg "What is the cat doing?" --model mask-llava-7b --tokens 64 --save-picture tokens.png
  mask-llava ask cat.jpg $'USER: ${mark}\\nWhat is it? ASSISTANT:' --raw-prompt --model llava-1.5-7b-hf --json`,
    )
    .action((image: string | undefined, question: string | undefined, flags: AskFlags) =>
      ask(image, question, flags, io),
    );
}

async function ask(
  image: string | undefined,
  asked: string | undefined,
  given: AskFlags,
  io: Io,
): Promise<void> {
  const watch = new Stopwatch();
  const flags = withExampleSheet(given, image === undefined && asked === undefined);
  const files = [image ?? example.picture, ...(flags.image ?? [])];
  const question = checkQuestion(image, asked, files.length, flags);
  checkBudgetFlags(flags);
  const read = [
    ...files,
    ...(flags.mask ?? []),
    ...[flags.boxes, flags.mmproj].filter((f) => f !== undefined),
  ];
  await checkOutputs(flags, read);
  await checkMmproj(flags.model, flags.mmproj);
  const maskLlava = await findMaskLlavaFolder(flags.model);
  if (maskLlava) {
    if (files.length > 1) {
      throw new UsageError(`a Mask-LLaVA checkpoint is asked about one picture, found ${files.length}`);
    }
    sayDefaults(image, asked, io);
    sayEmbedded(flags, io);
    await askMaskLlava(maskLlava, { file: image ?? example.picture, question }, flags, io, watch);
    return;
  }
  refuseMaskLlavaFlags(flags);
  const folder = await openLlavaFolder(flags.model, flags.mmproj);
  sayDefaults(image, asked, io);
  const named = await watch.time("decodeImage", () =>
    Promise.all(files.map(async (file) => ({ file, picture: await decodeImage(file) }))),
  );
  const pictures = named.map(({ picture }) => picture);
  await withDevice(flags, io, watch, async (device) => {
    const settled = await settleDtype(device, flags, folder, io);
    using llava = await watch.time("load", () =>
      withProgress(io.stderr, "loading", (onProgress) =>
        Llava.load(device, folder, {
          dtype: settled.dtype,
          signal: io.signal,
          onProgress,
          templates: new WorkerTemplateRenderer(),
        }),
      ),
    );
    const prompt = flags.rawPrompt ? question : await llava.promptFor(question, pictures.length);
    const { timings, ...answer } = await llava.ask(
      { pictures, prompt, ...(flags.rawPrompt && { addSpecialTokens: true }) },
      { ...generationOptions(settled, io), imageFeatures: flags.saveTensors !== undefined },
    );
    for (const [stage, milliseconds] of Object.entries(timings)) watch.add(stage, milliseconds);
    finishAnswer(flags, io);
    if (flags.saveTensors !== undefined) await writeTensors(flags.saveTensors, tensorsOf(answer), io.signal);
    const output: AskOutput = {
      command: "ask",
      ...(await commonOutput(device, settled, watch)),
      question,
      pictures: named.map(({ file, picture: { width, height } }) => ({ file, width, height })),
      prompt,
      answer: answer.text,
      finishReason: answer.finishReason,
      tokens: { prompt: answer.inputIds.length, visual: answer.visualTokens, new: answer.newIds.length },
    };
    report(output, "", flags, io);
  });
}

/** The flags; where nothing at all is asked, a first run, the sheet of the example's tokens is saved too. */
function withExampleSheet(flags: AskFlags, first: boolean): AskFlags {
  if (!first || flags.model !== undefined || flags.savePicture !== undefined) return flags;
  return { ...flags, savePicture: example.sheet };
}

/** What is asked about the user's picture, or the example, when no question is given. */
function unasked(image: string | undefined): string {
  return image === undefined ? example.question : defaultQuestion;
}

function sayDefaults(image: string | undefined, asked: string | undefined, io: Io): void {
  if (image === undefined)
    say(io, `no picture is given: the example ${relative(".", example.picture)} is taken`);
  if (asked === undefined) say(io, `no question is given: "${unasked(image)}" is asked`);
}

/** Throws a UsageError for flags that a LLaVA checkpoint has no use for. */
function refuseMaskLlavaFlags(flags: AskFlags): void {
  const { savePicture, saveMasks, saveCoco } = flags;
  const idle = [
    ...givenBudgetFlags(flags),
    ...(savePicture !== undefined ? ["--save-picture"] : []),
    ...(saveMasks !== undefined ? ["--save-masks"] : []),
    ...(saveCoco !== undefined ? ["--save-coco"] : []),
  ];
  if (idle.length === 0) return;
  throw new UsageError(
    `${idle.join(" ")}: needs a Mask-LLaVA checkpoint, found no ${settingsFile} in ${flags.model}`,
  );
}

/** The question, or with `--raw-prompt` the prompt. Throws a UsageError where it cannot be one about so many pictures. */
function checkQuestion(
  image: string | undefined,
  asked: string | undefined,
  pictures: number,
  flags: AskFlags,
): string {
  checkGenerationFlags(flags);
  if (flags.rawPrompt && asked === undefined) {
    throw new UsageError(`--raw-prompt needs a prompt, with one ${mark} for each picture`);
  }
  const question = asked ?? unasked(image);
  if (question.trim() === "") throw new UsageError("the question is empty, expected text");
  const marks = question.split(mark).length - 1;
  if (flags.rawPrompt && marks !== pictures) {
    throw new UsageError(
      `--raw-prompt: found ${marks} ${mark} in the prompt, expected ${pictures}: one for each picture`,
    );
  }
  if (!flags.rawPrompt && marks > 0) {
    throw new UsageError(`the question has ${mark} in it, which has a meaning only with --raw-prompt`);
  }
  return question;
}

function tensorsOf(answer: Omit<LlavaAnswer, "timings">): SavedTensors {
  const [first] = answer.pictures;
  const size = first?.pixelValues.length ?? 0;
  const pixels = new Float32Array(answer.pictures.length * size);
  for (const [i, { pixelValues }] of answer.pictures.entries()) pixels.set(pixelValues, i * size);
  return {
    ...answerTensors(answer),
    ...(first && {
      pixel_values: { shape: [answer.pictures.length, ...first.shape.slice(1)], data: pixels },
    }),
    ...(answer.imageFeatures && { image_features: answer.imageFeatures }),
  };
}
