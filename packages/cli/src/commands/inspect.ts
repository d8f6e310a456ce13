import { inspectCheckpoint } from "@mask-llava/models";
import { FileFolder } from "@mask-llava/models/node";
import { Command } from "commander";
import { ReportedFailure } from "../errors.ts";
import { jsonFlag, verboseFlag } from "../flags.ts";
import { formatCheckpoint } from "../format-checkpoint.ts";
import type { Io } from "../io.ts";

interface InspectFlags {
  readonly json?: boolean;
  readonly names?: boolean;
}

/** `mask-llava inspect`: what a checkpoint folder holds and what loading it would take. */
export function inspectCommand(io: Io): Command {
  return new Command("inspect")
    .description(
      "say what a checkpoint folder holds, what would be loaded and how much GPU memory that takes",
    )
    .argument("<dir>", "checkpoint folder in Hugging Face's layout")
    .option("--names", "list every tensor with its type and shape")
    .addOption(jsonFlag())
    .addOption(verboseFlag())
    .addHelpText(
      "after",
      `
Reads config.json and the headers of the safetensors files; needs no GPU. Exit code 1 when the model could not be loaded.

Examples:
  mask-llava inspect llava-1.5-7b-hf
  mask-llava inspect llava-1.5-7b-hf --names
  mask-llava inspect clip-vit-large-patch14-336 --json`,
    )
    .action(async (dir: string, flags: InspectFlags) => {
      const report = await inspectCheckpoint(await FileFolder.open(dir));
      io.stdout.write(
        flags.json
          ? `${JSON.stringify(report)}\n`
          : formatCheckpoint(report, { names: flags.names ?? false }),
      );
      const problems = report.load?.problems ?? [];
      for (const problem of problems.slice(0, 20)) io.stderr.write(`mask-llava: ${dir}: ${problem}\n`);
      if (problems.length > 20) io.stderr.write(`mask-llava: and ${problems.length - 20} problems more\n`);
      if (problems.length > 0) throw new ReportedFailure();
    });
}
