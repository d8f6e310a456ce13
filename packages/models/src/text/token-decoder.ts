/**
 * From token strings to text, as the decoders of the Rust library `tokenizers` do it. The JavaScript library's own decoders
 * differ where bytes are not valid UTF-8, and say nothing of where text may be cut, which streaming has to know.
 */
import { TokenizerError } from "./errors.ts";

export interface TokenDecoder {
  /** The tokens with this stage applied; their concatenation is the text. */
  apply(tokens: readonly string[]): string[];
  /** Whether what `apply` gives stays as it is when more tokens follow: no character or run of bytes is open at the end. */
  complete(tokens: readonly string[]): boolean;
}

type Json = Readonly<Record<string, unknown>>;

/** The decoder that tokenizer.json's `decoder` describes; without one, tokens are separated by spaces. */
export function tokenDecoder(config: unknown, file = "tokenizer.json"): TokenDecoder {
  if (config === null || config === undefined) return new JoinDecoder();
  if (typeof config !== "object") throw new TokenizerError(file, "decoder is not an object");
  const json = config as Json;
  switch (json.type) {
    case "ByteLevel":
      return new ByteLevelDecoder();
    case "ByteFallback":
      return new ByteFallbackDecoder();
    case "Fuse":
      return stage((tokens) => [tokens.join("")]);
    case "Replace":
      return replaceDecoder(json, file);
    case "Strip":
      return stripDecoder(json, file);
    case "Metaspace":
      return metaspaceDecoder(json, file);
    case "BPEDecoder": {
      const suffix = text(json, "suffix", file);
      return stage((tokens) =>
        tokens.map((t, i) => t.replaceAll(suffix, i === tokens.length - 1 ? "" : " ")),
      );
    }
    case "Sequence": {
      if (!Array.isArray(json.decoders)) throw new TokenizerError(file, "decoder.decoders is not a list");
      return new SequenceDecoder(json.decoders.map((d) => tokenDecoder(d, file)));
    }
    default:
      throw new TokenizerError(file, `decoder ${JSON.stringify(json.type)} is not supported`);
  }
}

function stage(apply: TokenDecoder["apply"]): TokenDecoder {
  return { apply, complete: () => true };
}

function text(json: Json, field: string, file: string): string {
  const value = json[field];
  if (typeof value !== "string") throw new TokenizerError(file, `decoder.${field} is not a string`);
  return value;
}

class JoinDecoder implements TokenDecoder {
  apply(tokens: readonly string[]): string[] {
    return [tokens.join(" ")];
  }
  complete(): boolean {
    return true;
  }
}

class SequenceDecoder implements TokenDecoder {
  readonly #stages: readonly TokenDecoder[];
  constructor(stages: readonly TokenDecoder[]) {
    this.#stages = stages;
  }
  apply(tokens: readonly string[]): string[] {
    return this.#stages.reduce<readonly string[]>((t, s) => s.apply(t), tokens) as string[];
  }
  complete(tokens: readonly string[]): boolean {
    let current = tokens;
    for (const s of this.#stages) {
      if (!s.complete(current)) return false;
      current = s.apply(current);
    }
    return true;
  }
}

/** GPT-2's table of a printable character for each byte, from character to byte. */
function byteOfCharacter(): ReadonlyMap<string, number> {
  const table = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    table.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return table;
}

class ByteLevelDecoder implements TokenDecoder {
  readonly #bytes = byteOfCharacter();
  readonly #encoder = new TextEncoder();

  apply(tokens: readonly string[]): string[] {
    return [new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.#join(tokens))];
  }

  complete(tokens: readonly string[]): boolean {
    // a streaming decoder keeps back exactly the bytes of a character that is not finished
    const bytes = this.#join(tokens);
    const finished = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: true });
    const all = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
    return finished.length === all.length;
  }

  #join(tokens: readonly string[]): Uint8Array {
    const bytes: number[] = [];
    for (const token of tokens) {
      const own = [...token].map((c) => this.#bytes.get(c));
      // a token with any other character, e.g. an added one with a space, stands for itself
      if (own.includes(undefined)) bytes.push(...this.#encoder.encode(token));
      else bytes.push(...(own as number[]));
    }
    return Uint8Array.from(bytes);
  }
}

/** The byte of `<0xNN>`, or undefined for other tokens. */
function fallbackByte(token: string): number | undefined {
  const match = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
  return match ? Number.parseInt(match[1] as string, 16) : undefined;
}

/** A run of byte tokens is one string if all of it is valid UTF-8, and otherwise one U+FFFD a byte. */
class ByteFallbackDecoder implements TokenDecoder {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  apply(tokens: readonly string[]): string[] {
    const out: string[] = [];
    let run: number[] = [];
    const flush = () => {
      if (run.length) out.push(this.#text(run));
      run = [];
    };
    for (const token of tokens) {
      const byte = fallbackByte(token);
      if (byte !== undefined) run.push(byte);
      else {
        flush();
        out.push(token);
      }
    }
    flush();
    return out;
  }

  complete(tokens: readonly string[]): boolean {
    const last = tokens.at(-1);
    return last === undefined || fallbackByte(last) === undefined;
  }

  #text(run: readonly number[]): string {
    try {
      return this.#decoder.decode(Uint8Array.from(run));
    } catch {
      return "\ufffd".repeat(run.length);
    }
  }
}

function replaceDecoder(json: Json, file: string): TokenDecoder {
  const pattern = (json.pattern as Json | undefined)?.String;
  if (typeof pattern !== "string" || pattern === "") {
    throw new TokenizerError(file, "decoder Replace is supported for a String pattern only");
  }
  const content = text(json, "content", file);
  return stage((tokens) => tokens.map((t) => t.replaceAll(pattern, () => content)));
}

/** Removes up to `start` leading and `stop` trailing occurrences of one character from every token. */
function stripDecoder(json: Json, file: string): TokenDecoder {
  const content = text(json, "content", file);
  const { start, stop } = json;
  if (content === "" || !Number.isInteger(start) || !Number.isInteger(stop)) {
    throw new TokenizerError(file, "decoder Strip needs a content and integers start and stop");
  }
  return stage((tokens) =>
    tokens.map((token) => {
      let from = 0;
      let to = token.length;
      for (let i = 0; i < (start as number) && token.startsWith(content, from); i++) from += content.length;
      for (let i = 0; i < (stop as number) && token.endsWith(content, to); i++) to -= content.length;
      return token.slice(from, Math.max(from, to));
    }),
  );
}

/** The replacement character is a space, and nothing in the first token unless `prepend_scheme` is `never`. */
function metaspaceDecoder(json: Json, file: string): TokenDecoder {
  const replacement = text(json, "replacement", file);
  const never = json.prepend_scheme === "never" || json.add_prefix_space === false;
  return stage((tokens) => tokens.map((t, i) => t.replaceAll(replacement, i === 0 && !never ? "" : " ")));
}
