import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { isatty, WriteStream } from "node:tty";
import { isStartupMessage } from "@mask-llava/runtime/node/native-messages";
import { LineFilter } from "./line-filter.ts";

/** Set in the environment of the process that does the work. */
const supervised = "MASK_LLAVA_SUPERVISED";
/** The file descriptor at which that process finds the terminal, where there is one. */
const terminalDescriptor = 3;
/** True in the process that does the work for another one. */
let isWorker = false;
const forwarded = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs `main`, the program behind the command whose file is `bin`.
 *
 * Dawn and Vulkan drivers write to the process' file descriptor 2 directly, past `process.stderr`, and Node cannot put
 * another file there. So the work is done in a child process whose stderr is a pipe to this one, which drops the lines
 * known to be of their start and passes on everything else (a crash's last words too). The terminal itself is handed to the
 * child as another descriptor, so that progress bars still see a terminal. With `--verbose`, and for help, everything
 * happens in this process and nothing is dropped.
 */
export async function launch(bin: string, main: () => Promise<unknown>): Promise<void> {
  const argv = process.argv.slice(2);
  if (process.env[supervised]) {
    delete process.env[supervised];
    becomeWorker();
  } else if (needsSupervision(argv, process.platform)) {
    await supervise(bin, argv);
    return;
  }
  await main();
}

/** True where native code may be loaded and its messages are not wanted. */
export function needsSupervision(argv: readonly string[], platform: string): boolean {
  const [command] = argv;
  if (platform !== "linux" || command === undefined || command === "help") return false;
  const end = argv.indexOf("--");
  const flags = end < 0 ? argv : argv.slice(0, end);
  return !flags.some((flag) => ["--verbose", "--help", "-h", "--version", "-V"].includes(flag));
}

/** Takes the terminal for stderr, and ends when the supervisor is gone without having said so. */
function becomeWorker(): void {
  isWorker = true;
  if (isatty(terminalDescriptor)) {
    Object.defineProperty(process, "stderr", {
      value: new WriteStream(terminalDescriptor),
      configurable: true,
    });
  }
  process.once("disconnect", () => process.exit(128 + constants.signals.SIGHUP));
  process.channel?.unref();
}

/**
 * Says that this process took a signal as a wish to stop and will end with `exitCode` once it has cleaned up. The echo of
 * that signal may find it so far down in its end that Node no longer listens; then the signal ends it, and the supervisor
 * knows by this what it would have answered. Nothing happens where there is no supervisor.
 */
export function tellSupervisor(exitCode: number): void {
  if (isWorker && process.connected) process.send?.(exitCode);
}

async function supervise(bin: string, argv: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, bin, ...argv], {
    stdio: ["inherit", "inherit", "pipe", isatty(2) ? 2 : "ignore", "ipc"],
    env: { ...process.env, [supervised]: "1" },
  });
  // A signal from the terminal reaches both processes, one from elsewhere only this; the child takes two for one.
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of forwarded) process.on(signal, forward);
  const filter = new LineFilter(
    (line) => !isStartupMessage(line),
    (text) => process.stderr.write(text),
  );
  child.stderr?.setEncoding("utf8").on("data", (text: string) => filter.push(text));
  let announced: number | null = null;
  child.on("message", (exitCode: number) => {
    announced = exitCode;
  });
  const { code, signal } = await ended(child);
  filter.end();
  const wasForwarded = (forwarded as readonly (string | null)[]).includes(signal);
  if (code !== null) {
    process.exitCode = code;
  } else if (wasForwarded && announced !== null) {
    process.exitCode = announced;
  } else if (signal && wasForwarded) {
    for (const name of forwarded) process.off(name, forward);
    process.kill(process.pid, signal); // So that a shell sees what ended it.
  } else {
    process.stderr.write(
      `mask-llava: ended by ${signal ?? "an unknown signal"}; --verbose shows what the driver says\n`,
    );
    process.exitCode = 128 + (signal ? constants.signals[signal] : 0);
  }
}

function ended(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
}
