import { ConfigError } from "../checkpoint/errors.ts";
import { scoredMerges } from "./merges.ts";
import type { GgufMetadata } from "./metadata.ts";
import { byteLevelSplits } from "./pre-tokenizers.ts";

/** `llama_token_type` of llama.cpp. */
const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Files of a Hugging Face folder, parsed. */
export interface TokenizerJsons {
  /** tokenizer.json. */
  readonly tokenizer: { readonly [field: string]: unknown };
  /** tokenizer_config.json. */
  readonly config: { readonly [field: string]: unknown };
  /** generation_config.json. */
  readonly generation: { readonly [field: string]: unknown };
  /** The id of the token that stands for a picture, where one was asked for. */
  readonly imageTokenId: number | undefined;
}

/** Control tokens that end a turn or a text, by name: many files name only one of them (llama.cpp's special_eog_ids). */
const endings = new Set([
  "</s>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end_of_text|>",
  "<|endoftext|>",
  "<|im_end|>",
  "<|end|>",
  "<EOT>",
]);

interface Vocabulary {
  readonly tokens: readonly string[];
  /** Of each token; all normal where the file does not say. */
  readonly types: readonly number[];
  /** Id of each token that text can become or that is written out. */
  readonly ids: ReadonlyMap<string, number>;
}

/**
 * The tokenizer of `tokenizer.ggml.*`, as the files that Hugging Face's readers take.
 * @param imageToken a token that stands for a picture: where the vocabulary lacks it, it follows the last id
 */
export function tokenizerJsons(metadata: GgufMetadata, imageToken?: string): TokenizerJsons {
  const key = "tokenizer.ggml.model";
  const kind = metadata.string(key);
  if (kind !== "llama" && kind !== "gpt2") {
    throw metadata.error(key, "is not supported", '"llama" (SentencePiece) or "gpt2" (byte-level BPE)');
  }
  const vocabulary = readVocabulary(metadata);
  const special = specialTokens(metadata, vocabulary, kind === "llama" ? sentencePieceIds : {});
  const parts = kind === "llama" ? sentencePiece(metadata, vocabulary) : byteLevel(metadata, vocabulary);
  const bosByDefault = kind === "llama" || parts.addsBos;
  const added = addedTokens(vocabulary, imageToken);
  const config = {
    ...special.named,
    clean_up_tokenization_spaces: false,
    model_max_length: metadata.optionalCount("llama.context_length", 1),
    // transformers shall take tokenizer.json as it is
    tokenizer_class: "PreTrainedTokenizerFast",
    chat_template: metadata.optionalString("tokenizer.chat_template"),
  };
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added,
      normalizer: parts.normalizer,
      pre_tokenizer: parts.preTokenizer,
      post_processor: postProcessor(metadata, special, bosByDefault),
      decoder: parts.decoder,
      model: parts.model,
    },
    config: JSON.parse(JSON.stringify(config)) as TokenizerJsons["config"], // without what is undefined
    generation: {
      ...(special.ids.bos_token !== undefined && { bos_token_id: special.ids.bos_token }),
      ...(special.ids.pad_token !== undefined && { pad_token_id: special.ids.pad_token }),
      eos_token_id: endingIds(metadata, vocabulary, special.ids.eos_token),
    },
    imageTokenId: added.find(({ content }) => content === imageToken)?.id,
  };
}

function readVocabulary(metadata: GgufMetadata): Vocabulary {
  const tokens = metadata.strings("tokenizer.ggml.tokens");
  if (tokens.length === 0) throw metadata.error("tokenizer.ggml.tokens", "is empty");
  const types =
    metadata.optionalNumbers("tokenizer.ggml.token_type", tokens.length) ??
    tokens.map(() => tokenTypes.normal);
  const ids = new Map<string, number>();
  tokens.forEach((token, id) => {
    // ids that pad a vocabulary have names that no text shall become
    if (types[id] === tokenTypes.unused || token === "") return;
    const before = ids.get(token);
    if (before !== undefined) {
      throw new ConfigError(metadata.file, `tokenizer.ggml.tokens[${id}]`, `is token ${before} once more`, {
        found: JSON.stringify(token),
      });
    }
    ids.set(token, id);
  });
  return { tokens, types, ids };
}

const fields = {
  bos_token: "bos",
  eos_token: "eos",
  unk_token: "unknown",
  pad_token: "padding",
} as const;
type Field = keyof typeof fields;

interface SpecialTokens {
  readonly named: Readonly<Partial<Record<Field, string>>>;
  readonly ids: Readonly<Partial<Record<Field, number>>>;
}

/** Ids of LLaMA's SentencePiece vocabulary, which files may leave out (llama.cpp's defaults). */
const sentencePieceIds: Readonly<Partial<Record<Field, number>>> = {
  bos_token: 1,
  eos_token: 2,
  unk_token: 0,
};

/** Tokens and ids that the file names. */
function specialTokens(
  metadata: GgufMetadata,
  { tokens, ids }: Vocabulary,
  defaults: Readonly<Partial<Record<Field, number>>>,
): SpecialTokens {
  const named: Partial<Record<Field, string>> = {};
  const numbers: Partial<Record<Field, number>> = {};
  for (const [field, name] of Object.entries(fields) as [Field, string][]) {
    const key = `tokenizer.ggml.${name}_token_id`;
    const id = metadata.optionalCount(key) ?? defaults[field];
    if (id === undefined) continue;
    const token = tokens[id];
    if (token !== undefined && ids.get(token) === id) {
      named[field] = token;
      numbers[field] = id;
    } else if (field === "bos_token" || field === "eos_token") {
      throw metadata.error(key, "is not a token of the vocabulary", `an id below ${tokens.length}`);
    }
    // files name padding that is not there, and nobody pads here
  }
  return { named, ids: numbers };
}

function endingIds(metadata: GgufMetadata, vocabulary: Vocabulary, eos: number | undefined): number[] {
  const ends = new Set<number>(eos === undefined ? [] : [eos]);
  for (const name of ["eot", "eom"]) {
    const id = metadata.optionalCount(`tokenizer.ggml.${name}_token_id`);
    if (id !== undefined) ends.add(id);
  }
  for (const [token, id] of vocabulary.ids) {
    if (vocabulary.types[id] === tokenTypes.control && endings.has(token)) ends.add(id);
  }
  return [...ends].sort((a, b) => a - b);
}

/** What text is searched for before it is cut: control tokens are special, user-defined ones text. */
function addedTokens({ tokens, types, ids }: Vocabulary, imageToken: string | undefined) {
  const added = [...ids].flatMap(([content, id]) => {
    const type = types[id];
    const special = type === tokenTypes.control || type === tokenTypes.unknown;
    return special || type === tokenTypes.userDefined || content === imageToken
      ? [addedToken(id, content, special || content === imageToken)]
      : [];
  });
  if (imageToken !== undefined && !ids.has(imageToken)) {
    added.push(addedToken(tokens.length, imageToken, true));
  }
  return added;
}

const addedToken = (id: number, content: string, special: boolean) => ({
  id,
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special,
});

function postProcessor(metadata: GgufMetadata, special: SpecialTokens, bosByDefault: boolean) {
  const frame = (field: "bos_token" | "eos_token", key: string, byDefault: boolean) => {
    if (!(metadata.optionalBoolean(key) ?? byDefault)) return [];
    const token = special.named[field];
    if (token !== undefined) return [token];
    throw metadata.error(`tokenizer.ggml.${fields[field]}_token_id`, `is missing, and ${key} asks for it`);
  };
  const before = frame("bos_token", "tokenizer.ggml.add_bos_token", bosByDefault);
  const after = frame("eos_token", "tokenizer.ggml.add_eos_token", false);
  if (before.length + after.length === 0) return null;
  const token = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
  const single = (type_id: number, id: string) => [
    ...before.map((t) => token(t, type_id)),
    { Sequence: { id, type_id } },
    ...after.map((t) => token(t, type_id)),
  ];
  const idOf = (t: string) => (t === special.named.bos_token ? special.ids.bos_token : special.ids.eos_token);
  return {
    type: "TemplateProcessing",
    single: single(0, "A"),
    pair: [...single(0, "A"), ...single(1, "B")],
    special_tokens: Object.fromEntries(
      [...before, ...after].map((t) => [t, { id: t, ids: [idOf(t)], tokens: [t] }]),
    ),
  };
}

interface Pipeline {
  readonly normalizer: unknown;
  readonly preTokenizer: unknown;
  readonly decoder: unknown;
  readonly model: unknown;
  /** Whether BOS comes before a text where the file does not say. */
  readonly addsBos: boolean;
}

/** SentencePiece's BPE: ▁ for spaces, one more before every stretch of text, bytes for what has no piece. */
function sentencePiece(metadata: GgufMetadata, vocabulary: Vocabulary): Pipeline {
  if (metadata.optionalBoolean("tokenizer.ggml.remove_extra_whitespaces")) {
    throw metadata.error("tokenizer.ggml.remove_extra_whitespaces", "is not supported", "false");
  }
  const prefix = metadata.optionalBoolean("tokenizer.ggml.add_space_prefix") ?? true;
  const { tokens, types, ids } = vocabulary;
  const unknown = types.indexOf(tokenTypes.unknown);
  const pieces = [...ids].filter(([, id]) => types[id] === tokenTypes.normal);
  const spaces = { type: "Replace", pattern: { String: " " }, content: "▁" };
  return {
    normalizer: prefix
      ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: "▁" }, spaces] }
      : spaces,
    preTokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: unknown < 0 ? null : tokens[unknown],
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      ignore_merges: false,
      vocab: Object.fromEntries(ids),
      merges: scoredMerges(metadata, pieces, scores(metadata, tokens.length)),
    },
    addsBos: true,
  };
}

function scores(metadata: GgufMetadata, count: number): readonly number[] {
  const key = "tokenizer.ggml.scores";
  const given = metadata.optionalNumbers(key, count);
  if (given) return given;
  throw metadata.error(key, "is missing", `a list of ${count} numbers`);
}

/** GPT-2's BPE over bytes as characters. */
function byteLevel(metadata: GgufMetadata, { ids }: Vocabulary): Pipeline {
  const key = "tokenizer.ggml.pre";
  const name = metadata.optionalString(key);
  const split = name === undefined ? undefined : byteLevelSplits[name];
  if (!split || !Object.hasOwn(byteLevelSplits, name as string)) {
    // a text cut otherwise becomes other tokens: no default is right
    const known = Object.keys(byteLevelSplits).join(", ");
    throw metadata.error(key, "says how text is cut before merging, and is not known", known);
  }
  const merges = metadata.strings("tokenizer.ggml.merges").map((merge, i) => {
    const space = merge.indexOf(" ", 1);
    if (space > 0 && space < merge.length - 1) return [merge.slice(0, space), merge.slice(space + 1)];
    throw new ConfigError(metadata.file, `tokenizer.ggml.merges[${i}]`, "is not two tokens", {
      found: JSON.stringify(merge),
    });
  });
  return {
    normalizer: null,
    preTokenizer: split.preTokenizer,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: split.ignoreMerges,
      vocab: Object.fromEntries(ids),
      merges,
    },
    addsBos: split.addsBos,
  };
}
