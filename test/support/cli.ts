import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

/** The built command. */
export const bin = fileURLToPath(new URL("../../packages/cli/bin/mask-llava.mjs", import.meta.url));

/** How a command ended and what it wrote. */
export interface CommandResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Added to this process' environment; undefined removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly cwd?: string;
  readonly stdin?: string;
  /** True: the program leads a process group of its own, as a terminal's foreground job does. */
  readonly ownGroup?: boolean;
  /** Called when the program has been started. */
  readonly onStart?: (child: ChildProcess) => void;
  /** Called with all that is on stdout so far, whenever there is more: for sending signals at the right moment. */
  readonly onStdout?: (text: string, child: ChildProcess) => void;
}

/** Runs the built `mask-llava` command with `args`, with pipes for its output. */
export function runCli(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return runNode([bin, ...args], options);
}

/** Runs Node with `args`. */
export function runNode(args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  return runProgram(process.execPath, args, { ...options, env: { ...process.env, ...options.env } });
}

/** Runs the program at a path with `args`, and with no more of an environment than `options` gives. */
export function runProgram(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: "pipe",
      cwd: options.cwd,
      env: { ...options.env },
      detached: options.ownGroup ?? false,
    });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
      options.onStdout?.(stdout, child);
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.on("error", reject);
    child.on("close", (code, signal) => resolve({ code, signal, stdout, stderr }));
    child.stdin.end(options.stdin ?? "");
    options.onStart?.(child);
  });
}
