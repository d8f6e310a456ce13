import { constants } from "node:os";
import { tellSupervisor } from "./launch.ts";

/** A terminal's Ctrl-C reaches this process directly and through the launcher; both within this many milliseconds. */
const echo = 500;

/**
 * A signal that aborts on the first SIGINT or SIGTERM, so that work stops at its next step and cleans up after itself.
 * A second one, later, ends the process at once. Call `release` when the work is done: work that was interrupted stays
 * deaf to the echo even then, or the echo of a quickly cleaned-up interrupt would end the process by the signal.
 */
export function interruptible(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  let first = 0;
  const interrupt = (name: NodeJS.Signals) => {
    if (!controller.signal.aborted) {
      first = performance.now();
      controller.abort(new Error(`interrupted by ${name}`));
      const exitCode = 128 + constants.signals[name];
      process.exitCode = exitCode;
      tellSupervisor(exitCode);
    } else if (performance.now() - first > echo) {
      process.exit(128 + constants.signals[name]);
    }
  };
  process.on("SIGINT", interrupt);
  process.on("SIGTERM", interrupt);
  return {
    signal: controller.signal,
    release() {
      if (controller.signal.aborted) return;
      process.off("SIGINT", interrupt);
      process.off("SIGTERM", interrupt);
    },
  };
}
