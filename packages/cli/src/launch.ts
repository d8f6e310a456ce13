import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { isatty } from "node:tty";
import { isStartupMessage } from "@mask-llava/runtime/node/native-messages";
import { hangUp } from "./interrupt.ts";
import { LineFilter } from "./line-filter.ts";
import { patience, SignalForwarding } from "./signal-forwarding.ts";
import { becomeWorker } from "./worker.ts";

/** Set in the environment of the process that does the work. */
const supervised = "MASK_LLAVA_SUPERVISED";

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
  const isWorker = process.env[supervised] !== undefined;
  if (isWorker) {
    delete process.env[supervised];
    becomeWorker(hangUp);
  }
  // Whoever read it went away (`2>&1 | head`, a closed terminal): what is said there is lost, and the work goes on.
  process.stderr.on("error", () => {});
  if (!isWorker && needsSupervision(argv, process.platform)) await supervise(bin, argv);
  else await main();
}

/** True where native code may be loaded and its messages are not wanted. */
export function needsSupervision(argv: readonly string[], platform: string): boolean {
  const [command] = argv;
  if (platform !== "linux" || command === undefined || command === "help") return false;
  const end = argv.indexOf("--");
  const flags = end < 0 ? argv : argv.slice(0, end);
  return !flags.some((flag) => ["--verbose", "--help", "-h", "--version", "-V"].includes(flag));
}

async function supervise(bin: string, argv: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [...process.execArgv, bin, ...argv], {
    stdio: ["inherit", "inherit", "pipe", isatty(2) ? 2 : "ignore", "ipc"],
    env: { ...process.env, [supervised]: "1" },
  });
  const forwarding = new SignalForwarding(child);
  const filter = new LineFilter(
    (line) => !isStartupMessage(line),
    (text) => process.stderr.write(text),
  );
  child.stderr?.setEncoding("utf8").on("data", (text: string) => filter.push(text));
  const { code, signal } = await ended(child);
  filter.end();
  const { announced, killedAfter } = forwarding;
  const wasForwarded = forwarding.includes(signal);
  if (code !== null) {
    process.exitCode = code;
  } else if (killedAfter !== null) {
    const within = `within ${patience / 1000} s`;
    process.stderr.write(
      `mask-llava: killed, as it did not answer a second ${killedAfter} ${within}; temporary files may be left\n`,
    );
    process.exitCode = 128 + constants.signals[killedAfter];
  } else if (wasForwarded && announced !== null) {
    process.exitCode = announced;
  } else if (signal && wasForwarded) {
    forwarding.end();
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
