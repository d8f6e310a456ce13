import {
  CancelledError,
  type Device,
  invalidToken,
  type Recorder,
  RuntimeError,
  type Tensor,
} from "@mask-llava/runtime";
import { KvCache, type KvDType, type LlamaNetwork } from "../llama/index.ts";
import { type GenerationSettings, newTokenLimit, type Tokenizer } from "../text/index.ts";
import { decode } from "./decode.ts";
import { DecodingState } from "./decoding-state.ts";
import { PromptError } from "./errors.ts";
import { TextStream } from "./text-stream.ts";

/** A prompt as the decoder takes it. */
export interface PromptSource {
  /** One id a position; visual tokens have the image token's. */
  readonly ids: readonly number[];
  /** The id of visual tokens, which may lie beyond the vocabulary: no text has it. */
  readonly visualId?: number | undefined;
  /** Embeddings of positions start … start + count - 1. [1, count, D] */
  embed(cmd: Recorder, start: number, count: number): Tensor;
}

export interface GenerateControls {
  /** Text that ends the answer, and is not part of it. */
  readonly stop?: readonly string[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called with text as soon as it is certain. Without it, tokens are read back a few at a time, which costs less. */
  readonly onText?: ((piece: string) => void) | undefined;
  /** Also give the logits of every prompt position. */
  readonly promptLogits?: boolean | undefined;
  /** Prompt tokens run at once, in one program; bounds memory. Default 1024. */
  readonly prefillChunk?: number | undefined;
  /** Of keys and values. Default f32. */
  readonly cacheDtype?: KvDType | undefined;
}

export type FinishReason = "eos" | "stop" | "length" | "cancelled";

export interface Generation {
  readonly inputIds: readonly number[];
  /** New ids; ends with the end-of-sequence id where that ended it. */
  readonly newIds: readonly number[];
  /** New text, without special tokens and without what follows a stop string. */
  readonly text: string;
  readonly finishReason: FinishReason;
  readonly promptLogits:
    | { readonly shape: readonly [1, number, number]; readonly data: Float32Array }
    | undefined;
  /** Wall milliseconds. */
  readonly timings: { readonly prefill: number; readonly decode: number };
}

const defaultChunk = 1024;

/**
 * Continues a prompt. Prefill is one program (a few for long prompts), decoding is one program that is replayed: per token
 * one submit and nothing created; a readback of four bytes where `onText` waits for it, else one for a few tokens.
 * @throws PromptError for an empty prompt or one that leaves no room in the context
 */
export async function generate(
  device: Device,
  network: LlamaNetwork,
  tokenizer: Tokenizer,
  source: PromptSource,
  settings: GenerationSettings,
  controls: GenerateControls = {},
): Promise<Generation> {
  const { ids } = source;
  const limit = checkPrompt(ids, network, settings, source.visualId);
  const capacity = ids.length + limit;
  const seed = settings.seed ?? Math.floor(Math.random() * 2 ** 32);
  const stream = new TextStream(tokenizer, controls.stop ?? [], controls.onText);
  const { signal, cacheDtype } = controls;
  if (signal?.aborted) throw new CancelledError();
  using cache = new KvCache(device, network.config, {
    capacity,
    ...(cacheDtype ? { dtype: cacheDtype } : {}),
  });
  using state = new DecodingState(device, settings, { capacity });
  state.begin([{ ids, seed }]);

  const started = performance.now();
  const prompt = await prefill(device, network, source, cache, state, controls);
  const decodeStarted = performance.now();
  const newIds: number[] = [];
  const take = (id: number): FinishReason | undefined => {
    if (id === invalidToken)
      throw new RuntimeError("NUMERIC", "the model's logits are not finite: no token can be chosen");
    newIds.push(id);
    if (settings.eosTokenIds.includes(id)) return "eos";
    stream.push(id);
    if (stream.stopped) return "stop";
    if (signal?.aborted) return "cancelled";
    return newIds.length === limit ? "length" : undefined;
  };
  let finishReason = signal?.aborted ? ("cancelled" as const) : take(prompt.token);
  if (!finishReason) {
    const streaming = controls.onText !== undefined;
    const length = ids.length + newIds.length;
    const decoding = { steps: limit - 1, length, streaming, signal };
    finishReason = (await decode(device, { network, cache, state }, take, decoding)) ?? "cancelled";
  }
  if (!stream.stopped) stream.finish();
  return {
    inputIds: ids,
    newIds,
    text: stream.text,
    finishReason,
    promptLogits: prompt.logits,
    timings: { prefill: decodeStarted - started, decode: performance.now() - decodeStarted },
  };
}

/** New tokens that may follow; throws where there is no room for one, or an id is not in the vocabulary. */
export function checkPrompt(
  ids: readonly number[],
  network: LlamaNetwork,
  settings: GenerationSettings,
  visualId?: number,
): number {
  const { max_position_embeddings: context, vocab_size: vocabulary } = network.config;
  if (ids.length === 0) throw new PromptError("the prompt has no tokens");
  const outside = ids.find((id) => id >= vocabulary && id !== visualId);
  if (outside !== undefined) {
    throw new PromptError(
      `the prompt has token ${outside}, the model's vocabulary ends at ${vocabulary - 1}`,
    );
  }
  const limit = newTokenLimit(settings, ids.length, context);
  if (limit < 1) {
    throw new PromptError(
      ids.length >= context
        ? `the prompt has ${ids.length} tokens, which leaves no room in the model's context of ${context}`
        : `the prompt has ${ids.length} tokens, and generation_config.json's max_length of ${settings.maxLength} allows no more`,
    );
  }
  return limit;
}

async function prefill(
  device: Device,
  network: LlamaNetwork,
  source: PromptSource,
  cache: KvCache,
  state: DecodingState,
  controls: GenerateControls,
): Promise<{ token: number; logits: Generation["promptLogits"] }> {
  const total = source.ids.length;
  const chunk = controls.prefillChunk ?? defaultChunk;
  const vocabulary = network.config.vocab_size;
  const allLogits = controls.promptLogits ? new Float32Array(total * vocabulary) : undefined;
  using start = device.tensor({ shape: [1], dtype: "u32", label: "prefill.start" });
  for (let first = 0; ; first += chunk) {
    if (controls.signal?.aborted) throw new CancelledError();
    const count = Math.min(chunk, total - first);
    const last = first + count === total;
    const cmd = device.record(`prefill ${first}+${count}`);
    const { lastHiddenState } = network.forward(cmd, source.embed(cmd, first, count), cache, start); // [1, count, D]
    const logits = allLogits && network.logits(cmd, lastHiddenState); // [1, count, V]
    const token = last
      ? state.step(cmd, network.logits(cmd, network.lastRow(cmd, lastHiddenState)))
      : undefined; // [1]
    const outputs = [token, logits].filter((t) => t !== undefined);
    using program = await cmd.finish({ outputs });
    device.write(start, Uint32Array.of(first));
    const read = await program.runAndRead(outputs);
    if (allLogits) allLogits.set(read.at(-1) as Float32Array, first * vocabulary);
    if (token) {
      const logitsOut = allLogits && { shape: [1, total, vocabulary] as const, data: allLogits };
      return { token: (read[0] as Uint32Array)[0] as number, logits: logitsOut };
    }
  }
}
