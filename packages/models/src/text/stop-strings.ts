import { RuntimeError } from "@mask-llava/runtime";

/**
 * Ends a stream of text at the first of some strings. Text that may be the beginning of one is kept back; the string itself is
 * never given. The outcome does not depend on how the text is cut into pieces.
 */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = "";
  #stopped: string | undefined;

  /** Throws for an empty string or half a surrogate pair. Without strings everything passes. */
  constructor(stops: readonly string[]) {
    for (const stop of stops) {
      if (stop === "" || /\p{Surrogate}/u.test(stop)) {
        throw new RuntimeError(
          "OPTION",
          `a stop string must be text that is not empty (found ${JSON.stringify(stop)})`,
        );
      }
    }
    this.#stops = [...new Set(stops)];
  }

  /** The string that ended the text, once one has. */
  get stopped(): string | undefined {
    return this.#stopped;
  }

  /** Text that may be shown now. After a stop string: nothing. */
  push(text: string): string {
    if (this.#stopped !== undefined) return "";
    const all = this.#held + text;
    for (let end = this.#held.length + 1; end <= all.length; end++) {
      const stop = this.#endingAt(all, end);
      if (stop === undefined) continue;
      this.#stopped = stop;
      this.#held = "";
      return all.slice(0, end - stop.length);
    }
    const held = this.#beginningAtEnd(all);
    this.#held = all.slice(all.length - held);
    return all.slice(0, all.length - held);
  }

  /** The text that was kept back, when no more follows. */
  finish(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** The longest stop string that ends at `end`. */
  #endingAt(text: string, end: number): string | undefined {
    let found: string | undefined;
    for (const stop of this.#stops) {
      if (stop.length > (found?.length ?? 0) && text.endsWith(stop, end)) found = stop;
    }
    return found;
  }

  /** Length of the longest end of `text` with which a stop string begins. */
  #beginningAtEnd(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let n = Math.min(stop.length - 1, text.length); n > longest; n--) {
        if (text.endsWith(stop.slice(0, n))) longest = n;
      }
    }
    return longest;
  }
}
