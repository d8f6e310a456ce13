import { type Analysis, MaskLlava } from "@mask-llava/composer";
import { type Folder, Llava, type Pixels } from "@mask-llava/models";
import { WorkerTemplateRenderer } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";
import type { Io } from "../io.ts";
import { withProgress } from "../progress.ts";
import type { Configuration } from "./configurations.ts";

/** An answer, with what is told of it. */
export interface Reply {
  readonly prompt: string;
  readonly text: string;
  readonly visualTokens: number;
  readonly newTokens: number;
  readonly finishReason: string;
}

export interface Replies {
  /** One a question, of each configuration in order. */
  readonly replies: readonly (readonly Reply[])[];
  /** Milliseconds by stage. */
  readonly timings: Readonly<Record<string, number>>;
  /** Of Mask-LLaVA. */
  readonly analysis?: Analysis;
}

/** A checkpoint that is asked. */
export interface Respondent extends Disposable {
  /** Its folder. */
  readonly model: string;
  readonly configurations: readonly Configuration[];
  answer(picture: Pixels, questions: readonly string[], signal: AbortSignal): Promise<Replies>;
}

export interface RespondentOptions {
  readonly dtype: "f32" | "f16";
  readonly maxNewTokens?: number;
}

/** Answers are the likeliest ones, whatever the checkpoint says of sampling: a measurement must repeat. */
const greedy = { temperature: 0 } as const;

function loadOptions(io: Io, { dtype }: RespondentOptions) {
  return { dtype, signal: io.signal, templates: new WorkerTemplateRenderer() };
}

export async function maskLlavaRespondent(
  device: Device,
  folder: Folder,
  configurations: readonly Configuration[],
  options: RespondentOptions,
  io: Io,
): Promise<Respondent & { readonly maskLlava: MaskLlava }> {
  const maskLlava = await withProgress(io.stderr, "loading", (onProgress) =>
    MaskLlava.load(device, folder, { ...loadOptions(io, options), onProgress }),
  );
  const { maxNewTokens } = options;
  return {
    model: folder.name,
    configurations,
    maskLlava,
    async answer(picture, questions, signal) {
      const generation = { ...greedy, ...(maxNewTokens !== undefined && { maxNewTokens }), signal };
      const analysis = await maskLlava.analyse(picture, { signal });
      const timings = new Map<string, number>(Object.entries(analysis.timings));
      const add = (stage: string, ms: number) => timings.set(stage, (timings.get(stage) ?? 0) + ms);
      const replies: Reply[][] = [];
      for (const { compose } of configurations) {
        const row: Reply[] = [];
        for (const question of questions) {
          const a = await maskLlava.ask(picture, question, { ...compose, ...generation });
          signal.throwIfAborted();
          add("compose", a.timings.compose);
          add("prefill", a.timings.prefill);
          add("decode", a.timings.decode);
          row.push({
            prompt: question,
            text: a.text,
            visualTokens: a.composed.kinds.length,
            newTokens: a.newIds.length,
            finishReason: a.finishReason,
          });
        }
        replies.push(row);
      }
      return { replies, timings: Object.fromEntries(timings), analysis };
    },
    [Symbol.dispose]: () => maskLlava.dispose(),
  };
}

export async function llavaRespondent(
  device: Device,
  folder: Folder,
  configuration: Configuration,
  options: RespondentOptions,
  io: Io,
): Promise<Respondent> {
  const llava = await withProgress(io.stderr, "loading", (onProgress) =>
    Llava.load(device, folder, { ...loadOptions(io, options), onProgress }),
  );
  const { maxNewTokens } = options;
  return {
    model: folder.name,
    configurations: [configuration],
    async answer(picture, questions, signal) {
      const generation = { ...greedy, ...(maxNewTokens !== undefined && { maxNewTokens }), signal };
      const timings = new Map<string, number>();
      const add = (stage: string, ms: number) => timings.set(stage, (timings.get(stage) ?? 0) + ms);
      const replies: Reply[] = [];
      for (const question of questions) {
        const prompt = await llava.promptFor(question, 1);
        const a = await llava.ask({ pictures: [picture], prompt }, generation);
        signal.throwIfAborted();
        add("vision", a.timings.process + a.timings.encode);
        add("prefill", a.timings.prefill);
        add("decode", a.timings.decode);
        replies.push({
          prompt,
          text: a.text,
          visualTokens: a.visualTokens,
          newTokens: a.newIds.length,
          finishReason: a.finishReason,
        });
      }
      return { replies: [replies], timings: Object.fromEntries(timings) };
    },
    [Symbol.dispose]: () => llava.dispose(),
  };
}
