import { Command, CommanderError } from "commander";
import { kernelsCommand } from "./kernels/command.ts";
import { modelsCommand } from "./models/command.ts";
import { pageCommand } from "./page/command.ts";
import { peersCommand } from "./peers/command.ts";
import { tokensCommand } from "./tokens/command.ts";

const program = new Command("bench").description("Measurements of Mask-LLaVA's kernels and networks.");
for (const command of [kernelsCommand(), modelsCommand(), tokensCommand(), peersCommand(), pageCommand()])
  program.addCommand(command);
for (const command of [program, ...program.commands])
  command.exitOverride().showHelpAfterError("(--help tells what can be said)");

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2; // a bad flag
  } else {
    process.stderr.write(`bench: ${error instanceof Error ? error.message : error}\n`);
    process.exitCode = 1;
  }
}
