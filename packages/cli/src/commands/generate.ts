import { type Generation, LanguageModel, Llava } from "@mask-llava/models";
import { WorkerTemplateRenderer } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";
import { Command } from "commander";
import { answerTensors, checkGenerationFlags, finishAnswer, generationOptions } from "../answering.ts";
import { UsageError } from "../errors.ts";
import {
  addGenerationFlags,
  addModelFlags,
  type GenerationFlags,
  type ModelFlags,
  modelFlag,
} from "../flags.ts";
import { commonOutput, withDevice } from "../gpu-session.ts";
import type { Io } from "../io.ts";
import { type OpenedModel, openModelFolder } from "../model-folder.ts";
import type { GenerateOutput } from "../output.ts";
import { withProgress } from "../progress.ts";
import { report } from "../report.ts";
import { checkSaveTarget, writeTensors } from "../save-tensors.ts";
import { Stopwatch } from "../stopwatch.ts";
import { type Settled, settleDtype } from "../weight-dtype.ts";

type Flags = ModelFlags & GenerationFlags;

/** `mask-llava generate`: text from text. */
export function generateCommand(io: Io): Command {
  const command = new Command("generate")
    .description("continue a text with LLaMA, or answer it where the model has a chat template")
    .argument("<prompt>", "what to say to the model")
    .addOption(
      modelFlag("checkpoint folder of a LLaMA or LLaVA model in Hugging Face's layout, or a GGUF file"),
    );
  return addModelFlags(addGenerationFlags(command))
    .addHelpText(
      "after",
      `
The prompt is put into the model's chat template where it has one; --raw-prompt takes it as it is. What no flag says is
taken from the model's generation_config.json. The text streams to stdout.
--save-tensors writes input_ids, the logits of the prompt, and sequences (prompt and new tokens).

Examples:
  mask-llava generate "Name three colours." --model Llama-3.2-1B-Instruct
  mask-llava generate "Once upon a time" --model tinyllama --raw-prompt --max-new-tokens 40 --temperature 0.8 --seed 7
  mask-llava generate "Name three colours." --model Llama-3.2-1B-Instruct-Q4_K_M.gguf
  mask-llava generate "Count to ten." --model Llama-3.2-1B-Instruct --temperature 0 --stop 5 --json`,
    )
    .action((prompt: string, flags: Flags) => generate(prompt, flags, io));
}

async function generate(text: string, flags: Flags, io: Io): Promise<void> {
  const watch = new Stopwatch();
  checkGenerationFlags(flags);
  if (text.trim() === "" && !flags.rawPrompt) throw new UsageError("the prompt is empty, expected text");
  if (flags.saveTensors !== undefined) await checkSaveTarget(flags.saveTensors, flags.model);
  const model = await openModelFolder(flags.model, ["llama", "llava"]);
  await withDevice(flags, io, watch, async (device) => {
    const settled = await settleDtype(device, flags, model.folder, io);
    const { prompt, generation } = await runModel(text, model, device, settled, watch, io);
    finishAnswer(flags, io);
    if (flags.saveTensors !== undefined)
      await writeTensors(flags.saveTensors, answerTensors(generation), io.signal);
    const output: GenerateOutput = {
      command: "generate",
      ...(await commonOutput(device, settled, watch)),
      prompt,
      answer: generation.text,
      finishReason: generation.finishReason,
      tokens: { prompt: generation.inputIds.length, visual: 0, new: generation.newIds.length },
    };
    report(output, "", flags, io);
  });
}

interface Generated {
  /** As the tokenizer was given it. */
  readonly prompt: string;
  readonly generation: Omit<Generation, "timings">;
}

async function runModel(
  text: string,
  { kind, folder }: OpenedModel<"llama" | "llava">,
  device: Device,
  flags: Settled<Flags>,
  watch: Stopwatch,
  io: Io,
): Promise<Generated> {
  const options = generationOptions(flags, io);
  const load = <T>(from: (options: Parameters<typeof LanguageModel.load>[2]) => Promise<T>): Promise<T> =>
    watch.time("load", () =>
      withProgress(io.stderr, "loading", (onProgress) =>
        from({ dtype: flags.dtype, signal: io.signal, onProgress, templates: new WorkerTemplateRenderer() }),
      ),
    );
  if (kind === "llava") {
    using llava = await load((loading) => Llava.load(device, folder, loading));
    const prompt = flags.rawPrompt ? text : await llava.promptFor(text, 0);
    const question = { pictures: [], prompt, ...(flags.rawPrompt && { addSpecialTokens: true }) };
    const { timings, ...generation } = await llava.ask(question, options);
    for (const stage of ["prefill", "decode"] as const) watch.add(stage, timings[stage]);
    return { prompt, generation };
  }
  using language = await load((loading) => LanguageModel.load(device, folder, loading));
  const { tokenizer, chatTemplate } = language;
  const chat = flags.rawPrompt ? undefined : chatTemplate;
  const prompt = (await chat?.render([{ role: "user", content: text }])) ?? text;
  const ids = chat ? tokenizer.encodePrompt(prompt) : tokenizer.encode(prompt);
  const { timings, ...generation } = await language.generate(ids, options);
  for (const stage of ["prefill", "decode"] as const) watch.add(stage, timings[stage]);
  return { prompt, generation };
}
