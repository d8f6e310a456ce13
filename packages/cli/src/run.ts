import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { Command, CommanderError } from "commander";
import { askCommand } from "./commands/ask.ts";
import { composeCommand } from "./commands/compose.ts";
import { convertCommand } from "./commands/convert.ts";
import { detectCommand } from "./commands/detect.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { encodeCommand } from "./commands/encode.ts";
import { evalCommand } from "./commands/eval.ts";
import { generateCommand } from "./commands/generate.ts";
import { inspectCommand } from "./commands/inspect.ts";
import { invertCommand } from "./commands/invert.ts";
import { scenesCommand } from "./commands/scenes.ts";
import { segmentCommand } from "./commands/segment.ts";
import { tuneCommand } from "./commands/tune.ts";
import { explain, ReportedFailure, UsageError } from "./errors.ts";
import { type Io, say } from "./io.ts";

export * from "./coco/index.ts";
export { embeddedCheckpoint } from "./embedded.ts";
export type * from "./eval/index.ts";
export type * from "./output.ts";
export * from "./scenes/index.ts";

/** Exit codes: done, failed, not understood; 130 after an interruption, as shells have it. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  interrupted: 128 + constants.signals.SIGINT,
} as const;

/** Runs one command line (without the program's name) and returns the exit code. Does not end the process. */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  try {
    await program(io).parseAsync(argv, { from: "user" });
    return io.signal.aborted ? exitCodes.interrupted : exitCodes.done;
  } catch (error) {
    return report(error, argv, io);
  }
}

function program(io: Io): Command {
  const root = new Command("mask-llava")
    .description("Ask a picture on a headless GPU server.")
    .version(version())
    .addCommand(askCommand(io))
    .addCommand(generateCommand(io))
    .addCommand(encodeCommand(io))
    .addCommand(detectCommand(io))
    .addCommand(segmentCommand(io))
    .addCommand(invertCommand(io))
    .addCommand(composeCommand(io))
    .addCommand(evalCommand(io))
    .addCommand(inspectCommand(io))
    .addCommand(convertCommand(io))
    .addCommand(scenesCommand(io))
    .addCommand(doctorCommand(io))
    .addCommand(tuneCommand(io, run));
  for (const command of [root, ...root.commands]) {
    const path = command === root ? "mask-llava" : `mask-llava ${command.name()}`;
    command
      .exitOverride()
      .configureOutput({
        writeOut: (text) => io.stdout.write(text),
        writeErr: (text) => io.stderr.write(text),
        outputError: (text, write) => write(text.replace(/^error: /, "mask-llava: ")),
      })
      .showHelpAfterError(`(${path} --help tells what can be said)`);
  }
  return root;
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

function report(error: unknown, argv: readonly string[], io: Io): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.usage;
  if (io.signal.aborted) {
    say(io, explain(io.signal.reason));
    return exitCodes.interrupted;
  }
  if (error instanceof ReportedFailure) return error.exitCode;
  if (error instanceof UsageError) {
    say(io, error.message);
    return exitCodes.usage;
  }
  say(io, explain(error));
  if (argv.includes("--verbose") && error instanceof Error && error.stack) {
    io.stderr.write(`${error.stack}\n`);
  }
  return exitCodes.failed;
}
