import { Tokenizer as LibraryTokenizer } from "@huggingface/tokenizers";
import { ConfigError } from "../checkpoint/errors.ts";
import { type Folder, readJson } from "../checkpoint/folder.ts";
import { TokenizerError } from "./errors.ts";
import { type TokenDecoder, tokenDecoder } from "./token-decoder.ts";
import { describeTokenizer, type TokenizerConfig } from "./tokenizer-json.ts";

/** What is used of the library; its own declarations do not resolve under Node's module rules. */
interface Library {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] };
  token_to_id(token: string): number | undefined;
  model: { encode(pieces: string[]): string[] };
  post_processor: {
    post_process(tokens: string[], pair: null, addSpecialTokens: boolean): { tokens: string[] };
  } | null;
}

/** Parsed files of a checkpoint folder. */
export interface TokenizerFiles {
  /** tokenizer.json. */
  readonly tokenizer: unknown;
  /** tokenizer_config.json, with special_tokens_map.json below it. */
  readonly config?: unknown;
  /** `model_type` of config.json. */
  readonly modelType?: string | undefined;
}

export interface EncodeOptions {
  /** Add what the post-processor adds, e.g. BOS; default true. Special tokens written in the text are recognised either way. */
  readonly addSpecialTokens?: boolean;
  /** Cut the text's own tokens on the right so that at most this many remain, special ones included. */
  readonly maxLength?: number;
}

export interface DecodeOptions {
  /** Leave special tokens out; default true. */
  readonly skipSpecialTokens?: boolean;
}

/** A checkpoint's BPE or WordLevel tokenizer: text to ids and back, as current Hugging Face transformers has it. */
export class Tokenizer {
  readonly #library: Library;
  readonly #tokens = new Map<number, string>();
  readonly #special = new Set<number>();
  readonly #prefix: readonly number[];
  readonly #suffix: readonly number[];
  readonly #config: TokenizerConfig;
  /** Text of token strings; `StreamDecoder` uses it to know where text may be cut. */
  readonly decoder: TokenDecoder;
  /** End-of-word mark of CLIP's tokenizer, which decoding turns into a space. */
  readonly wordSuffix: string | undefined;

  constructor(files: TokenizerFiles) {
    const { json, config, wordSuffix, wholeWords } = describeTokenizer(
      files.tokenizer,
      files.config ?? {},
      files.modelType,
    );
    this.decoder = tokenDecoder(json.decoder);
    this.wordSuffix = wordSuffix;
    this.#config = config;
    try {
      this.#library = new LibraryTokenizer(json, {});
    } catch (cause) {
      throw new TokenizerError("tokenizer.json", `is malformed: ${(cause as Error).message}`, { cause });
    }
    if (wholeWords) {
      const { vocab, unk_token } = json.model;
      const known = new Set(Object.keys(vocab));
      this.#library.model.encode = (pieces) => pieces.map((p) => (known.has(p) ? p : (unk_token ?? p)));
    }
    for (const [token, id] of Object.entries(json.model.vocab)) this.#tokens.set(id, token);
    for (const { id, content, special } of json.added_tokens) {
      this.#tokens.set(id, content);
      if (special) this.#special.add(id);
    }
    [this.#prefix, this.#suffix] = this.#frame();
  }

  /** Reads tokenizer.json, tokenizer_config.json, special_tokens_map.json and config.json's `model_type`. */
  static async load(folder: Folder): Promise<Tokenizer> {
    const [tokenizer, config, special, model] = await Promise.all(
      ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "config.json"].map((name) =>
        readJson(folder, name),
      ),
    );
    if (tokenizer === undefined) {
      throw new TokenizerError(
        "tokenizer.json",
        `is missing from ${folder.name}; slow tokenizers (tokenizer.model) are not read`,
      );
    }
    for (const [name, value] of [
      ["tokenizer_config.json", config],
      ["special_tokens_map.json", special],
    ] as const) {
      if (value !== undefined && (typeof value !== "object" || value === null || Array.isArray(value))) {
        throw new ConfigError(name, "", "is not an object");
      }
    }
    const modelType = (model as { model_type?: unknown } | null | undefined)?.model_type;
    return new Tokenizer({
      tokenizer,
      config: { ...(special as object | undefined), ...(config as object | undefined) },
      modelType: typeof modelType === "string" ? modelType : undefined,
    });
  }

  /** Ids of `text`. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const { addSpecialTokens = true, maxLength } = options;
    // half a surrogate pair has no UTF-8
    const content = this.#library.encode(text.replace(/\p{Surrogate}/gu, "\ufffd"), {
      add_special_tokens: false,
    }).ids;
    const hole = content.findIndex((id) => !Number.isInteger(id));
    if (hole >= 0) {
      throw new TokenizerError(
        "tokenizer.json",
        `has no token for a part of ${JSON.stringify(text.slice(0, 40))} and no unknown token`,
      );
    }
    const prefix = addSpecialTokens ? this.#prefix : [];
    const suffix = addSpecialTokens ? this.#suffix : [];
    if (maxLength !== undefined)
      content.length = Math.min(content.length, Math.max(0, maxLength - prefix.length - suffix.length));
    return [...prefix, ...content, ...suffix];
  }

  /** Ids of a rendered prompt: BOS is added unless the prompt brings it itself. */
  encodePrompt(prompt: string): number[] {
    const bos = this.bosToken;
    return this.encode(prompt, { addSpecialTokens: bos === undefined || !prompt.startsWith(bos) });
  }

  /** Text of `ids`. Ids that the tokenizer does not know (rows that pad a vocabulary) give no text, as in Hugging Face's. */
  decode(ids: Iterable<number>, options: DecodeOptions = {}): string {
    const tokens: string[] = [];
    for (const id of ids) {
      const token = this.token(id);
      if (token !== undefined && !(options.skipSpecialTokens !== false && this.#special.has(id)))
        tokens.push(token);
    }
    const text = this.decoder.apply(tokens).join("");
    return this.wordSuffix === undefined ? text : stripSpace(text.replaceAll(this.wordSuffix, " "));
  }

  /** Token string of an id, or undefined beyond the vocabulary. */
  token(id: number): string | undefined {
    return this.#tokens.get(id);
  }

  /** Id of a token string. */
  tokenId(token: string): number | undefined {
    return this.#library.token_to_id(token);
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  /** One more than the largest id. */
  get vocabularySize(): number {
    let size = 0;
    for (const id of this.#tokens.keys()) size = Math.max(size, id + 1);
    return size;
  }

  get bosToken(): string | undefined {
    return this.#config.bos_token ?? undefined;
  }
  get eosToken(): string | undefined {
    return this.#config.eos_token ?? undefined;
  }
  get unkToken(): string | undefined {
    return this.#config.unk_token ?? undefined;
  }
  get padToken(): string | undefined {
    return this.#config.pad_token ?? undefined;
  }
  /** Tokens that the model was made for, where tokenizer_config.json tells. */
  get modelMaxLength(): number | undefined {
    const length = this.#config.model_max_length;
    return length && length < 1e9 ? length : undefined; // "no limit" is written as 1e30
  }

  /** The special tokens of tokenizer_config.json, as chat templates see them. */
  get specialTokens(): Readonly<Record<string, string>> {
    const { bosToken, eosToken, unkToken, padToken } = this;
    return {
      ...(bosToken === undefined ? {} : { bos_token: bosToken }),
      ...(eosToken === undefined ? {} : { eos_token: eosToken }),
      ...(unkToken === undefined ? {} : { unk_token: unkToken }),
      ...(padToken === undefined ? {} : { pad_token: padToken }),
    };
  }

  /** What the post-processor puts before and after a text. */
  #frame(): [number[], number[]] {
    const processor = this.#library.post_processor;
    if (!processor) return [[], []];
    const mark = "\0text";
    let tokens: string[];
    try {
      tokens = processor.post_process([mark], null, true).tokens;
    } catch (cause) {
      throw new TokenizerError("tokenizer.json", "post_processor is malformed", { cause });
    }
    const at = tokens.indexOf(mark);
    if (at < 0 || at !== tokens.lastIndexOf(mark)) {
      throw new TokenizerError("tokenizer.json", "post_processor does not keep the text once");
    }
    const ids = (list: string[]) =>
      list.map((token) => {
        const id = this.tokenId(token);
        if (id === undefined)
          throw new TokenizerError(
            "tokenizer.json",
            `post_processor adds ${JSON.stringify(token)}, which has no id`,
          );
        return id;
      });
    return [ids(tokens.slice(0, at)), ids(tokens.slice(at + 1))];
  }
}

const whiteSpace = "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const atStart = new RegExp(`^${whiteSpace}+`);
const atEnd = new RegExp(`${whiteSpace}+$`);

/** Without white space at its ends, as Python's `str.strip` has it. */
export function stripSpace(text: string): string {
  return text.replace(atStart, "").replace(atEnd, "");
}

/** White space at the end of `text`, as Python has it. */
export function trailingSpace(text: string): string {
  return atEnd.exec(text)?.[0] ?? "";
}
