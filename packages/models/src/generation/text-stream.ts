import { StopStrings, StreamDecoder, type Tokenizer } from "../text/index.ts";

/** Ids in, text out as soon as it is certain: whole characters only, and nothing that may begin a stop string. */
export class TextStream {
  readonly #decoder: StreamDecoder;
  readonly #stops: StopStrings;
  readonly #onText: ((piece: string) => void) | undefined;
  #text = "";

  constructor(tokenizer: Tokenizer, stops: readonly string[], onText?: (piece: string) => void) {
    this.#decoder = new StreamDecoder(tokenizer);
    this.#stops = new StopStrings(stops);
    this.#onText = onText;
  }

  get text(): string {
    return this.#text;
  }

  /** True once a stop string has ended the text. */
  get stopped(): boolean {
    return this.#stops.stopped !== undefined;
  }

  push(id: number): void {
    this.#give(this.#stops.push(this.#decoder.push(id)));
  }

  finish(): void {
    this.#give(this.#stops.push(this.#decoder.finish()));
    this.#give(this.#stops.finish());
  }

  #give(piece: string): void {
    if (!piece) return;
    this.#text += piece;
    this.#onText?.(piece);
  }
}
