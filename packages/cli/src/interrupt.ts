import { constants } from "node:os";
import { tellSupervisor } from "./worker.ts";

/** A terminal's Ctrl-C reaches this process directly and through the launcher; both within this many milliseconds. */
const echo = 500;
/** Work that nobody waits for any more has this many milliseconds to clean up. */
const orphanedGrace = 10_000;
const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
type Interruption = (typeof signals)[number];

/** The works that run now, each with what interrupts it. */
const running = new Set<(by: Interruption) => void>();

/**
 * A signal that aborts on the first SIGINT, SIGTERM or SIGHUP, so that work stops at its next step and cleans up after
 * itself. A second one, later, ends the process at once, but for SIGHUP: a terminal that is closed sends several, which are
 * nobody's impatience. Call `release` when the work is done: work that was interrupted stays deaf to the echo even then, or
 * the echo of a quickly cleaned-up interrupt would end the process by the signal.
 */
export function interruptible(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  let [first, exitCode] = [0, 0];
  const interrupt = (by: Interruption) => {
    if (!controller.signal.aborted) {
      first = performance.now();
      exitCode = exitCodeOf(by);
      process.exitCode = exitCode;
      controller.abort(new Error(`interrupted by ${by}`));
    } else if (by !== "SIGHUP" && performance.now() - first > echo) {
      process.exit(exitCodeOf(by));
    }
    // Each time: a supervisor that gets no answer takes this process for stuck.
    tellSupervisor(exitCode);
  };
  for (const name of signals) process.on(name, interrupt);
  running.add(interrupt);
  return {
    signal: controller.signal,
    release() {
      running.delete(interrupt);
      if (controller.signal.aborted) return;
      for (const name of signals) process.off(name, interrupt);
    },
  };
}

/**
 * Ends this process because nobody waits for it any more, as SIGHUP does: work that can be interrupted is, and has a while
 * to clean up.
 */
export function hangUp(): void {
  const exitCode = exitCodeOf("SIGHUP");
  if (running.size === 0) process.exit(exitCode);
  for (const interrupt of running) interrupt("SIGHUP");
  setTimeout(() => process.exit(exitCode), orphanedGrace).unref();
}

function exitCodeOf(name: Interruption): number {
  return 128 + constants.signals[name];
}
