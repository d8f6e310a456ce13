import type { Device } from "@mask-llava/runtime";

/** Where text goes: a stream, or what a test collects. */
export interface TextSink {
  write(text: string): unknown;
  /** Whether a person watches: progress is shown only then. */
  readonly isTTY?: boolean | undefined;
}

/** What a run of the program may touch besides files and the GPU. */
export interface Io {
  /** Results, and nothing else. */
  readonly stdout: TextSink;
  /** Everything for people. */
  readonly stderr: TextSink;
  /** Aborts the work: it stops at its next step and cleans up after itself. */
  readonly signal: AbortSignal;
  /** A device to run on, whatever `--adapter` and `--memory` say; it stays open. Without it every command opens its own. */
  readonly device?: Device;
}

/** One line for people. */
export function say(io: Io, text: string): void {
  io.stderr.write(`mask-llava: ${text}\n`);
}
