import { isatty, WriteStream } from "node:tty";

/** The file descriptor at which the process that does the work for another one finds the terminal, where there is one. */
const terminalDescriptor = 3;
/** True in the process that does the work for another one. */
let isWorker = false;

/** Takes the terminal for stderr, and calls `orphaned` when the supervisor is gone without having said so. */
export function becomeWorker(orphaned: () => void): void {
  isWorker = true;
  if (isatty(terminalDescriptor)) {
    Object.defineProperty(process, "stderr", {
      value: new WriteStream(terminalDescriptor),
      configurable: true,
    });
  }
  process.once("disconnect", orphaned);
  process.channel?.unref();
}

/**
 * Says that this process took a signal as a wish to stop and will end with `exitCode` once it has cleaned up. The echo of
 * that signal may find it so far down in its end that Node no longer listens; then the signal ends it, and the supervisor
 * knows by this what it would have answered. Nothing happens where there is no supervisor.
 */
export function tellSupervisor(exitCode: number): void {
  if (!isWorker || !process.connected) return;
  // the supervisor may be gone without this process knowing it yet, which a callback alone keeps from being thrown
  process.send?.(exitCode, undefined, undefined, () => {});
}
