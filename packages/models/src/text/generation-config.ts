import { z } from "zod";
import { parseConfig } from "../checkpoint/config.ts";
import { ConfigError, describe } from "../checkpoint/errors.ts";
import { type Folder, readJson } from "../checkpoint/folder.ts";

const tokenId = z.int().nonnegative();
const tokenIds = z.union([tokenId, z.array(tokenId)]).nullish();

/** What is read of generation_config.json (and, where it is absent, of config.json and its text_config). */
const fileSchema = z.looseObject({
  eos_token_id: tokenIds,
  bos_token_id: tokenId.nullish(),
  pad_token_id: tokenId.nullish(),
  max_new_tokens: z.int().positive().nullish(),
  max_length: z.int().positive().nullish(),
  do_sample: z.boolean().nullish(),
  temperature: z.number().nonnegative().nullish(),
  top_k: z.int().nonnegative().nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
});

/**
 * Fields of transformers' GenerationConfig that would change the tokens and are not computed here, with the values that change
 * nothing (besides null and an empty list).
 */
const notComputed: Readonly<Record<string, readonly unknown[]>> = {
  num_beams: [1],
  num_return_sequences: [1],
  penalty_alpha: [0],
  dola_layers: [],
  guidance_scale: [1],
  no_repeat_ngram_size: [0],
  min_length: [0],
  min_new_tokens: [0],
  suppress_tokens: [],
  begin_suppress_tokens: [],
  bad_words_ids: [],
  forced_bos_token_id: [],
  forced_eos_token_id: [],
  sequence_bias: [],
  exponential_decay_length_penalty: [],
  stop_strings: [],
  watermarking_config: [],
};
/** Those that count only where tokens are sampled. */
const notSampled: typeof notComputed = { typical_p: [1], epsilon_cutoff: [0], eta_cutoff: [0], top_h: [1] };

const idsSchema = z.looseObject({
  eos_token_id: tokenIds,
  bos_token_id: tokenId.nullish(),
  pad_token_id: tokenId.nullish(),
});
const modelSchema = idsSchema.extend({ text_config: idsSchema.nullish() });

const optionsSchema = z.strictObject({
  maxNewTokens: z.int().positive().optional(),
  doSample: z.boolean().optional(),
  temperature: z.number().nonnegative().optional(),
  topK: z.int().nonnegative().optional(),
  topP: z.number().min(0).max(1).optional(),
  minP: z.number().min(0).max(1).optional(),
  repetitionPenalty: z.number().positive().optional(),
  ignoreEos: z.boolean().optional(),
  seed: z.int().min(0).max(0xffffffff).optional(),
});

/**
 * What a caller asks for; every field overrules the checkpoint's. A temperature above 0, `topK`, `topP` or `minP` asks for
 * sampling, and temperature 0 for the likeliest token, unless `doSample` says otherwise.
 */
export type GenerationOptions = z.input<typeof optionsSchema>;

/** How to continue a prompt. */
export interface GenerationSettings {
  /** Ids that end the text; empty with `ignoreEos`. */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
  /** Bound on new tokens, where one is given. */
  readonly maxNewTokens: number | undefined;
  /** Bound on prompt and new tokens together, where one is given. It counts only where `maxNewTokens` does not. */
  readonly maxLength: number | undefined;
  /** Whether to sample; otherwise the likeliest token is taken and the next four fields do not count. */
  readonly doSample: boolean;
  readonly temperature: number;
  /** Number of likeliest tokens to sample from; 0: all. */
  readonly topK: number;
  /** Probability mass of the likeliest tokens to sample from; 1: all. */
  readonly topP: number;
  /** Least probability, as a share of the likeliest token's; 0: none. */
  readonly minP: number;
  /** 1: none. Counts for greedy decoding too. */
  readonly repetitionPenalty: number;
  readonly seed: number | undefined;
}

/** transformers' default when it samples and nothing is said. */
const defaultTopK = 50;

/**
 * Joins generation_config.json, the ids of config.json where that is absent, and the caller's options. Throws a ConfigError that
 * names the file or `generation options` and the field; also for a field that would change the tokens and is not computed here.
 */
export function generationSettings(
  generationConfig: unknown,
  modelConfig: unknown,
  options: GenerationOptions = {},
): GenerationSettings {
  const user = parseConfig(optionsSchema, options, "generation options");
  const file = parseConfig(fileSchema, generationConfig ?? fromModel(modelConfig), "generation_config.json");
  const ids = file.eos_token_id ?? [];
  const wantsSampling =
    user.temperature !== undefined
      ? user.temperature > 0
      : user.topK !== undefined || user.topP !== undefined || user.minP !== undefined || undefined;
  const temperature = user.temperature ?? file.temperature ?? 1;
  const doSample = (user.doSample ?? wantsSampling ?? file.do_sample ?? false) && temperature > 0;
  refuse(file, notComputed);
  if (doSample) refuse(file, notSampled);
  return {
    eosTokenIds: user.ignoreEos ? [] : Array.isArray(ids) ? ids : [ids],
    bosTokenId: file.bos_token_id ?? undefined,
    padTokenId: file.pad_token_id ?? undefined,
    maxNewTokens: user.maxNewTokens ?? file.max_new_tokens ?? undefined,
    maxLength: user.maxNewTokens === undefined ? (file.max_length ?? undefined) : undefined,
    doSample,
    temperature: temperature === 0 ? 1 : temperature,
    topK: user.topK ?? file.top_k ?? defaultTopK,
    topP: user.topP ?? file.top_p ?? 1,
    minP: user.minP ?? file.min_p ?? 0,
    repetitionPenalty: user.repetitionPenalty ?? file.repetition_penalty ?? 1,
    seed: user.seed,
  };
}

function refuse(file: Readonly<Record<string, unknown>>, fields: typeof notComputed): void {
  for (const [field, neutral] of Object.entries(fields)) {
    const value = file[field];
    const idle = value == null || (Array.isArray(value) && value.length === 0) || neutral.includes(value);
    if (idle) continue;
    throw new ConfigError("generation_config.json", field, "is not supported", {
      found: describe(value),
      expected: neutral.length ? `${neutral.join(" or ")}, or no such field` : "no such field",
    });
  }
}

/** `generationSettings` of a checkpoint folder. */
export async function loadGenerationSettings(
  folder: Folder,
  options: GenerationOptions = {},
): Promise<GenerationSettings> {
  const [generation, model] = await Promise.all([
    readJson(folder, "generation_config.json"),
    readJson(folder, "config.json"),
  ]);
  return generationSettings(generation, model, options);
}

/**
 * New tokens that may follow a prompt of `promptLength` in a context of `contextLength`: the settings' bound, or `fallback`
 * without one. 0 where the prompt fills the context.
 */
export function newTokenLimit(
  settings: Pick<GenerationSettings, "maxNewTokens" | "maxLength">,
  promptLength: number,
  contextLength: number,
  fallback = 512,
): number {
  const { maxNewTokens, maxLength } = settings;
  const asked = maxNewTokens ?? (maxLength === undefined ? fallback : maxLength - promptLength);
  return Math.max(0, Math.min(asked, contextLength - promptLength));
}

/** The ids of config.json; a language model's within another lie in text_config. */
function fromModel(modelConfig: unknown): unknown {
  if (modelConfig === undefined) return {};
  const { text_config: text, ...own } = parseConfig(modelSchema, modelConfig, "config.json");
  return {
    eos_token_id: own.eos_token_id ?? text?.eos_token_id,
    bos_token_id: own.bos_token_id ?? text?.bos_token_id,
    pad_token_id: own.pad_token_id ?? text?.pad_token_id,
  };
}
