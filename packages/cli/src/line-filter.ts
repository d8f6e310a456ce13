/** After this many milliseconds a line that has not ended is passed on: it may be a prompt or a progress bar. */
const patience = 100;

/** Passes text on by whole lines, without those that are not wanted and the empty ones that end them. */
export class LineFilter {
  readonly #keep: (line: string) => boolean;
  readonly #write: (text: string) => void;
  #pending = "";
  /** Part of the pending line is out already, so the rest goes too. */
  #open = false;
  /** The last line was dropped. */
  #dropping = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(keep: (line: string) => boolean, write: (text: string) => void) {
    this.#keep = keep;
    this.#write = write;
  }

  push(text: string): void {
    clearTimeout(this.#timer);
    const lines = (this.#pending + text).split("\n");
    this.#pending = lines.pop() ?? "";
    let kept = "";
    for (const line of lines) {
      this.#dropping = !this.#open && (line === "" ? this.#dropping : !this.#keep(line));
      if (!this.#dropping) kept += `${line}\n`;
      this.#open = false;
    }
    if (kept) this.#write(kept);
    if (this.#pending) this.#timer = setTimeout(() => this.#release(), patience);
  }

  /** Passes on what is left. */
  end(): void {
    clearTimeout(this.#timer);
    if (this.#pending && (this.#open || this.#keep(this.#pending))) this.#release();
  }

  #release(): void {
    this.#write(this.#pending);
    this.#pending = "";
    this.#open = true;
  }
}
