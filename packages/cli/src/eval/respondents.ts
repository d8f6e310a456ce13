import { type Analysis, MaskLlava } from "@mask-llava/composer";
import {
  type BatchControls,
  type BatchedGeneration,
  type Folder,
  type GenerationOptions,
  type KvDType,
  Llava,
  type Pixels,
  type WeightDType,
} from "@mask-llava/models";
import { WorkerTemplateRenderer } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";
import type { Io } from "../io.ts";
import { withProgress } from "../progress.ts";
import { cacheDtype } from "../weight-dtype.ts";
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
  readonly maskLlava?: MaskLlava;
  readonly configurations: readonly Configuration[];
  /** The prompt of each question. */
  promptsFor(questions: readonly string[]): Promise<string[]>;
  answer(picture: Pixels, prompts: readonly string[], signal: AbortSignal): Promise<Replies>;
}

export interface RespondentOptions {
  readonly dtype: WeightDType;
  readonly kvDtype?: KvDType;
  readonly maxNewTokens?: number;
}

/** Answers are the likeliest ones, whatever the checkpoint says of sampling: a measurement must repeat. */
function generationOptions(options: RespondentOptions): GenerationOptions & BatchControls {
  const { maxNewTokens } = options;
  return {
    temperature: 0,
    cacheDtype: cacheDtype(options),
    ...(maxNewTokens !== undefined && { maxNewTokens }),
  };
}

function replyOf(prompt: string, answer: BatchedGeneration, visualTokens: number): Reply {
  const { text, newIds, finishReason } = answer;
  return { prompt, text, visualTokens, newTokens: newIds.length, finishReason };
}

function loadOptions(io: Io, { dtype }: RespondentOptions) {
  return { dtype, signal: io.signal, templates: new WorkerTemplateRenderer() };
}

export async function maskLlavaRespondent(
  device: Device,
  folder: Folder,
  configurations: readonly Configuration[],
  options: RespondentOptions,
  io: Io,
): Promise<Respondent> {
  const maskLlava = await withProgress(io.stderr, "loading", (onProgress) =>
    MaskLlava.load(device, folder, { ...loadOptions(io, options), onProgress }),
  );
  const generation = generationOptions(options);
  return {
    configurations,
    maskLlava,
    promptsFor: (questions) => maskLlava.promptsFor(questions),
    async answer(picture, prompts, signal) {
      const requests = configurations.map(({ compose }) => ({ ...compose, prompts }));
      const { replies, timings } = await maskLlava.askAll(picture, requests, { ...generation, signal });
      return {
        replies: replies.map(({ composed, answers }) =>
          answers.map((answer, i) => replyOf(prompts[i] as string, answer, composed.kinds.length)),
        ),
        timings: { ...timings },
        analysis: await maskLlava.analyse(picture, { signal }),
      };
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
  const generation = generationOptions(options);
  return {
    configurations: [configuration],
    promptsFor: (questions) => llava.promptsFor(questions, 1),
    async answer(picture, prompts, signal) {
      const { answers, visualTokens, timings } = await llava.askAll(picture, prompts, {
        ...generation,
        signal,
      });
      const { process, encode, prefill, decode } = timings;
      return {
        replies: [answers.map((answer, i) => replyOf(prompts[i] as string, answer, visualTokens))],
        timings: { vision: process + encode, prefill, decode },
      };
    },
    [Symbol.dispose]: () => llava.dispose(),
  };
}
