/**
 * Makes of tokenizer.json and tokenizer_config.json one description that the JavaScript library `@huggingface/tokenizers` computes
 * as current transformers with the Rust library `tokenizers` would. Known differences are written around here; what cannot be is
 * refused.
 */
import { z } from "zod";
import { parseConfig } from "../checkpoint/config.ts";
import { TokenizerError } from "./errors.ts";

const tokenText = z.union([z.string(), z.looseObject({ content: z.string() }).transform((t) => t.content)]);
const optionalToken = tokenText.nullish();

const addedToken = z.object({
  id: z.int().nonnegative(),
  content: z.string().min(1),
  special: z.boolean().default(false),
  normalized: z.boolean().optional(),
  single_word: z.boolean().default(false),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
});
type AddedToken = z.infer<typeof addedToken>;

export const tokenizerConfigSchema = z.looseObject({
  tokenizer_class: z.string().nullish(),
  bos_token: optionalToken,
  eos_token: optionalToken,
  unk_token: optionalToken,
  sep_token: optionalToken,
  pad_token: optionalToken,
  cls_token: optionalToken,
  mask_token: optionalToken,
  additional_special_tokens: z.array(tokenText).nullish(),
  extra_special_tokens: z.union([z.array(tokenText), z.record(z.string(), tokenText)]).nullish(),
  added_tokens_decoder: z.record(z.string().regex(/^\d+$/), addedToken.omit({ id: true })).nullish(),
  add_prefix_space: z.boolean().nullish(),
  legacy: z.boolean().nullish(),
  model_max_length: z.number().nullish(),
  clean_up_tokenization_spaces: z.boolean().nullish(),
});
export type TokenizerConfig = z.infer<typeof tokenizerConfigSchema>;

const tokenizerSchema = z.looseObject({
  added_tokens: z.array(addedToken).default([]),
  normalizer: z.unknown().default(null),
  pre_tokenizer: z.unknown().default(null),
  post_processor: z.unknown().default(null),
  decoder: z.unknown().default(null),
  model: z.looseObject({
    type: z.string().default("BPE"),
    vocab: z.custom<Record<string, number>>(isVocabulary, "is not an object of token ids"),
    merges: z.array(z.unknown()).optional(),
    unk_token: z.string().nullish(),
    dropout: z.number().nullish(),
    end_of_word_suffix: z.string().nullish(),
  }),
});
type TokenizerJson = z.infer<typeof tokenizerSchema>;

/** By hand: a schema for each of 128k entries takes longer than the rest of loading. */
function isVocabulary(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((id) => Number.isInteger(id) && id >= 0);
}

/** Everything that a Tokenizer is made of. */
export interface TokenizerDescription {
  readonly json: TokenizerJson;
  readonly config: TokenizerConfig;
  /** CLIP's decoding: the end-of-word mark becomes a space, and the ends are stripped. */
  readonly wordSuffix: string | undefined;
  /** model.type is WordLevel: every piece is one token. `json.model` then describes a BPE that only holds the vocabulary. */
  readonly wholeWords: boolean;
}

/** Model types whose `tokenizer_class` transformers overrules with tokenizer.json as it is (its MODELS_WITH_INCORRECT_HUB_…). */
const trustsTokenizerJson = new Set(["llava", "llava_next", "vipllava"]);

/**
 * `add_bos_token` and `add_eos_token` do not count: beside a tokenizer.json transformers ignores them for its post-processor.
 * @param modelType `model_type` of config.json: it decides with `tokenizer_class` whether transformers builds its own pipeline
 */
export function describeTokenizer(
  tokenizer: unknown,
  tokenizerConfig: unknown,
  modelType?: string,
  file = "tokenizer.json",
): TokenizerDescription {
  const json = parseConfig(tokenizerSchema, tokenizer, file);
  const config = parseConfig(tokenizerConfigSchema, tokenizerConfig, "tokenizer_config.json");
  const wholeWords = json.model.type === "WordLevel";
  if (wholeWords) wordLevel(json, config, file);
  else if (json.model.type !== "BPE") {
    throw new TokenizerError(
      file,
      `model.type ${JSON.stringify(json.model.type)} is not supported, only "BPE" and "WordLevel" are`,
    );
  }
  if (!json.model.merges) throw new TokenizerError(file, "model.merges: is missing");
  if (json.model.dropout) throw new TokenizerError(file, "model.dropout is not supported");
  const kind = config.tokenizer_class?.replace(/Fast$/, "");
  if (kind === "LlamaTokenizer" && !trustsTokenizerJson.has(modelType ?? "")) llamaPipeline(json, config);
  addSpecialTokens(json, config);
  for (const { content, single_word } of json.added_tokens) {
    if (single_word)
      throw new TokenizerError(file, `added token ${JSON.stringify(content)}: single_word is not supported`);
  }
  json.normalizer = portNormalizer(json.normalizer, file);
  json.pre_tokenizer = portPreTokenizer(json.pre_tokenizer, file);
  return {
    json,
    config,
    wordSuffix: kind === "CLIPTokenizer" ? (json.model.end_of_word_suffix ?? undefined) : undefined,
    wholeWords,
  };
}

/** The library has no WordLevel; it gets a BPE without merges, whose `encode` the Tokenizer replaces. */
function wordLevel(json: TokenizerJson, config: TokenizerConfig, file: string): void {
  if (config.clean_up_tokenization_spaces) {
    // transformers passes over it for BPE only
    throw new TokenizerError(
      "tokenizer_config.json",
      "clean_up_tokenization_spaces: true is not supported for a WordLevel tokenizer",
    );
  }
  const { unk_token } = json.model;
  if (unk_token != null && json.model.vocab[unk_token] === undefined) {
    throw new TokenizerError(file, `model.unk_token ${JSON.stringify(unk_token)} is not in model.vocab`);
  }
  json.model = { ...json.model, type: "BPE", merges: [] };
}

/** transformers' LlamaTokenizer takes vocabulary and merges from the file and builds the rest itself. */
function llamaPipeline(json: TokenizerJson, config: TokenizerConfig): void {
  const prefix = config.add_prefix_space ?? true;
  const prepend_scheme = !prefix ? "never" : config.legacy === true ? "always" : "first";
  json.model = { ...json.model, fuse_unk: true, byte_fallback: true };
  json.normalizer = null;
  json.pre_tokenizer = { type: "Metaspace", replacement: "▁", prepend_scheme, split: false };
  json.decoder = {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
    ],
  };
}

/** The special tokens that tokenizer_config.json names are special, and get ids at the end where they have none. */
function addSpecialTokens(json: TokenizerJson, config: TokenizerConfig): void {
  const { vocab } = json.model;
  const added = new Map(json.added_tokens.map((t) => [t.content, { ...t }]));
  let next = 0;
  for (const id of Object.values(vocab)) next = Math.max(next, id + 1);
  for (const { id } of added.values()) next = Math.max(next, id + 1);
  const add = (token: Omit<AddedToken, "id">) => {
    const known = added.get(token.content);
    if (known) known.special ||= token.special;
    else added.set(token.content, { ...token, id: vocab[token.content] ?? next++ });
  };
  const listed = Object.entries(config.added_tokens_decoder ?? {}).sort(([a], [b]) => Number(a) - Number(b));
  for (const [, token] of listed) add(token);
  for (const content of namedTokens(config)) {
    add({ content, special: true, normalized: false, single_word: false, lstrip: false, rstrip: false });
  }
  json.added_tokens = [...added.values()].sort((a, b) => a.id - b.id);
}

function namedTokens(config: TokenizerConfig): string[] {
  const extra = config.extra_special_tokens ?? [];
  return [
    config.bos_token,
    config.eos_token,
    config.unk_token,
    config.sep_token,
    config.pad_token,
    config.cls_token,
    config.mask_token,
    ...(config.additional_special_tokens ?? []),
    ...(Array.isArray(extra) ? extra : Object.values(extra)),
  ].filter((t): t is string => typeof t === "string" && t !== "");
}

type Json = Readonly<Record<string, unknown>>;

function portNormalizer(value: unknown, file: string): unknown {
  if (value === null) return null;
  const json = value as Json;
  switch (json.type) {
    case "Sequence":
      return {
        ...json,
        normalizers: list(json.normalizers, "normalizer.normalizers", file).map((n) =>
          portNormalizer(n, file),
        ),
      };
    case "Lowercase":
      // JavaScript knows the final sigma, Rust lowers each character for itself
      return {
        type: "Sequence",
        normalizers: [{ type: "Replace", pattern: { String: "Σ" }, content: "σ" }, json],
      };
    case "NFC":
    case "NFD":
    case "NFKC":
    case "NFKD":
    case "Prepend":
    case "Replace":
      return json;
    default:
      throw new TokenizerError(file, `normalizer ${JSON.stringify(json.type)} is not supported`);
  }
}

/** GPT-2's pattern, as the Rust library's ByteLevel applies it. */
const gpt2Pattern = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** What \w means to Rust's regex crate (Unicode Technical Standard 18, annex C). */
const wordCharacters = String.raw`\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}`;

function portPreTokenizer(value: unknown, file: string): unknown {
  if (value === null) return null;
  const json = value as Json;
  const sequence = (...pretokenizers: unknown[]) => ({ type: "Sequence", pretokenizers });
  switch (json.type) {
    case "Sequence":
      return sequence(
        ...list(json.pretokenizers, "pre_tokenizer.pretokenizers", file).map((p) =>
          portPreTokenizer(p, file),
        ),
      );
    case "ByteLevel":
      if (json.use_regex === false || json.add_prefix_space === true) return json;
      // as a Split, whose \s is Unicode's white space and not JavaScript's
      return sequence(
        { type: "Split", pattern: { Regex: gpt2Pattern }, behavior: "Isolated", invert: false },
        { ...json, use_regex: false },
      );
    case "Metaspace": {
      const mark = json.replacement;
      if (typeof mark !== "string" || [...mark].length !== 1) {
        throw new TokenizerError(file, "pre_tokenizer Metaspace needs a replacement of one character");
      }
      if (json.split === false) return json;
      // the library's Metaspace does not split before each mark
      const pattern = {
        Regex: `${characterEscape(mark)}[^${characterEscape(mark)}]*|[^${characterEscape(mark)}]+`,
      };
      return sequence(json, { type: "Split", pattern, behavior: "Removed", invert: true });
    }
    case "Split": {
      const { behavior, invert } = json;
      if ((behavior === "Isolated" && invert !== true) || behavior === "Removed") return json;
      throw new TokenizerError(
        file,
        `pre_tokenizer Split with behavior ${behavior}, invert ${invert} is not supported`,
      );
    }
    case "Whitespace":
      // as a Split, whose classes are Unicode's as in Rust; the library's \w is ASCII
      return {
        type: "Split",
        pattern: { Regex: `[${wordCharacters}]+|[^${wordCharacters}\\p{White_Space}]+` },
        behavior: "Removed",
        invert: true,
      };
    case "WhitespaceSplit":
      return {
        type: "Split",
        pattern: { Regex: String.raw`\P{White_Space}+` },
        behavior: "Removed",
        invert: true,
      };
    case "Digits":
      return json;
    default:
      throw new TokenizerError(file, `pre_tokenizer ${JSON.stringify(json.type)} is not supported`);
  }
}

function characterEscape(character: string): string {
  return `\\x{${(character.codePointAt(0) as number).toString(16)}}`;
}

function list(value: unknown, field: string, file: string): unknown[] {
  if (!Array.isArray(value)) throw new TokenizerError(file, `${field} is not a list`);
  return value;
}
