import type { ChildProcess } from "node:child_process";

const forwarded = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A child that does not answer a second signal within this many milliseconds never will. */
export const patience = 5000;

/**
 * Passes the signals that ask for an end on to a child. A signal from a terminal reaches both processes, one from elsewhere
 * only this; the child takes two for one. It answers each by a message with the exit code that it will end with. One that
 * does not is stuck in synchronous or native code: a second signal gives it a while, and kills it.
 */
export class SignalForwarding {
  /** The exit code that the child has said it will end with. */
  announced: number | null = null;
  /** The second signal, after which the child was killed. */
  killedAfter: NodeJS.Signals | null = null;
  readonly #child: ChildProcess;
  #taken = 0;
  #unanswered: NodeJS.Timeout | undefined;

  constructor(child: ChildProcess) {
    this.#child = child;
    for (const signal of forwarded) process.on(signal, this.#forward);
    child.on("message", (exitCode: number) => {
      this.announced = exitCode;
      this.#stopWaiting();
    });
    child.once("exit", () => this.#stopWaiting());
  }

  /** Leaves this process to its signals again. */
  end(): void {
    for (const signal of forwarded) process.off(signal, this.#forward);
  }

  /** Whether a child that `signal` has ended may have got it from here. */
  includes(signal: NodeJS.Signals | null): boolean {
    return forwarded.some((name) => name === signal);
  }

  readonly #forward = (signal: NodeJS.Signals): void => {
    const runs = this.#child.kill(signal);
    this.#taken++;
    if (!runs || this.#taken < 2 || this.#unanswered) return;
    this.#unanswered = setTimeout(() => {
      this.killedAfter = signal;
      this.#child.kill("SIGKILL");
    }, patience);
  };

  #stopWaiting(): void {
    clearTimeout(this.#unanswered);
    this.#unanswered = undefined;
  }
}
