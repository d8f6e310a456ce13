import { stripSpace, type Tokenizer, trailingSpace } from "./tokenizer.ts";

/**
 * Turns ids into text one by one. What it gives is never changed by later ids: the pieces, joined, are exactly
 * `tokenizer.decode` of all ids. A character that is not finished is kept back, and so is a run of byte tokens (`<0xNN>`) until
 * another token ends it, since one invalid byte changes what the whole run stands for.
 */
export class StreamDecoder {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecial: boolean;
  /** A token whose text was given, so that the next is not taken for the first, and those whose text was not. */
  #window: string[] = [];
  /** Text of the window that was given before. */
  #given = "";
  /** CLIP only: whether text was given, and white space that is kept back as it may be the end. */
  #started = false;
  #space = "";

  constructor(tokenizer: Tokenizer, options: { skipSpecialTokens?: boolean } = {}) {
    this.#tokenizer = tokenizer;
    this.#skipSpecial = options.skipSpecialTokens !== false;
  }

  /** Text that `id` completes; often one token's, sometimes none or several tokens'. */
  push(id: number): string {
    const token = this.#tokenizer.token(id);
    if (token === undefined || (this.#skipSpecial && this.#tokenizer.isSpecial(id))) return "";
    this.#window.push(token);
    const { decoder } = this.#tokenizer;
    if (!decoder.complete(this.#window)) return "";
    const text = this.#take();
    if (token !== "") {
      this.#window = [token];
      this.#given = decoder.apply(this.#window).join("");
    }
    return this.#words(text, false);
  }

  /** The rest, with U+FFFD for an unfinished character. The decoder starts anew. */
  finish(): string {
    const text = this.#words(this.#take(), true);
    this.#window = [];
    this.#given = "";
    this.#started = false;
    this.#space = "";
    return text;
  }

  /** Text of the window that was not given yet. */
  #take(): string {
    const text = this.#tokenizer.decoder.apply(this.#window).join("");
    const fresh = text.slice(this.#given.length);
    this.#given = text;
    return fresh;
  }

  /** CLIP's words: marks of their ends become spaces, and spaces at both ends of the whole are left out. */
  #words(text: string, last: boolean): string {
    const { wordSuffix } = this.#tokenizer;
    if (wordSuffix === undefined) return text;
    const all = this.#space + text.replaceAll(wordSuffix, " ");
    const from = this.#started ? all : all.slice(all.length - stripStart(all).length);
    this.#space = trailingSpace(from);
    const given = from.slice(0, from.length - this.#space.length);
    if (given !== "") this.#started = true;
    if (last) this.#space = "";
    return given;
  }
}

function stripStart(text: string): string {
  const core = stripSpace(text);
  return core === "" ? "" : text.slice(text.indexOf(core));
}
