import { MaskLlava } from "@mask-llava/composer";
import { type Folder, picturePrompt } from "@mask-llava/models";
import { decodeImage, WorkerTemplateRenderer } from "@mask-llava/models/node";
import { answerTensors, finishAnswer, generationOptions } from "../answering.ts";
import { type BudgetFlags, budgetOptions, withBudgetNamed } from "../budget-flags.ts";
import {
  type Composition,
  compositionCoco,
  compositionFiles,
  compositionOutput,
  compositionTensors,
  describeTokens,
} from "../composition.ts";
import type { GenerationFlags, ModelFlags } from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import { type Io, say } from "../io.ts";
import type { AskOutput } from "../output.ts";
import { savedFiles, writeOutputs } from "../output-files.ts";
import type { ObjectFileFlags } from "../picture-flags.ts";
import { withProgress } from "../progress.ts";
import { report } from "../report.ts";
import type { Stopwatch } from "../stopwatch.ts";
import { settleDtype } from "../weight-dtype.ts";

type Flags = ModelFlags & GenerationFlags & BudgetFlags & ObjectFileFlags;

/** Answers a question about one picture with a Mask-LLaVA checkpoint. `question` is the prompt with `--raw-prompt`. */
export async function askMaskLlava(
  folder: Folder,
  { file, question }: { readonly file: string; readonly question: string },
  flags: Flags,
  io: Io,
  watch: Stopwatch,
): Promise<void> {
  const picture = await watch.time("decodeImage", () => decodeImage(file));
  const named = { file, width: picture.width, height: picture.height };
  const budget = await budgetOptions(flags, named);
  await withDevice(flags, io, watch, async (device) => {
    const settled = await settleDtype(device, flags, folder, io);
    using model = await watch.time("load", () =>
      withProgress(io.stderr, "loading", (onProgress) =>
        MaskLlava.load(device, folder, {
          dtype: settled.dtype,
          signal: io.signal,
          onProgress,
          templates: new WorkerTemplateRenderer(),
        }),
      ),
    );
    const prompt = flags.rawPrompt ? question : await picturePrompt(model.language.chatTemplate, question, 1);
    const { timings, composed, ...answer } = await withBudgetNamed(flags, () =>
      model.ask(picture, question, {
        ...budget,
        ...generationOptions(settled, io),
        prompt,
        ...(flags.rawPrompt && { addSpecialTokens: true }),
      }),
    );
    for (const [stage, milliseconds] of Object.entries(timings)) watch.add(stage, milliseconds);
    finishAnswer(flags, io);
    const composition: Composition = { picture, named, composed, settings: model.settings };
    const told = compositionOutput(composition);
    const lines = [`“${question}”  ${answer.text}`];
    await writeOutputs(
      flags,
      {
        tensors: () => ({
          ...answerTensors(answer),
          pixel_values: { shape: composed.processed.shape, data: composed.processed.pixelValues },
          ...compositionTensors(composition),
        }),
        ...compositionFiles(composition, compositionCoco(composition, told), flags, lines),
      },
      io.signal,
    );
    const output: AskOutput = {
      command: "ask",
      ...(await commonOutput(device, settled, watch)),
      ...savedFiles(flags),
      question,
      pictures: [named],
      prompt,
      answer: answer.text,
      finishReason: answer.finishReason,
      tokens: { prompt: answer.inputIds.length, visual: composed.kinds.length, new: answer.newIds.length },
      composition: told,
    };
    say(io, `${output.tokens.visual} visual tokens: ${describeTokens(composed, flags)}`);
    report(output, "", flags, io);
  });
}
