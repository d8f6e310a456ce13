import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { doctorCommand } from "./commands/doctor.ts";

const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as {
  version: string;
};

const program = new Command("mask-llava")
  .description("Ask a picture on a headless GPU server.")
  .version(version)
  .configureHelp({ showGlobalOptions: true })
  .showHelpAfterError("(mask-llava --help lists the commands and flags)")
  .addCommand(doctorCommand());

// Exit codes: 0 done, 1 failed, 2 not understood.
for (const command of [program, ...program.commands]) command.exitOverride();
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(`mask-llava: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode ||= 1;
  }
}
