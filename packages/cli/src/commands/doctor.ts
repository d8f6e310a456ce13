import { Command } from "commander";
import { examine } from "../doctor/examine.ts";
import { formatReport } from "../doctor/format.ts";
import { ReportedFailure } from "../errors.ts";
import { adapterFlag, jsonFlag, memoryFlag, verboseFlag } from "../flags.ts";
import type { Io } from "../io.ts";

interface DoctorFlags {
  readonly adapter: string;
  readonly memory?: number;
  readonly json?: boolean;
}

/** `mask-llava doctor`: what this machine has, what is in the way, and whether the adapter computes correctly. */
export function doctorCommand(io: Io): Command {
  return new Command("doctor")
    .description("say which GPU adapter is used and why, and test that it computes correctly")
    .addOption(adapterFlag())
    .addOption(memoryFlag())
    .addOption(jsonFlag())
    .addOption(verboseFlag())
    .addHelpText(
      "after",
      `
Exit code 1 when no adapter can be opened or the self-test fails.

Examples:
  mask-llava doctor
  mask-llava doctor --adapter gpu
  mask-llava doctor --json`,
    )
    .action(async (flags: DoctorFlags) => {
      const report = await examine(flags);
      io.stdout.write(flags.json ? `${JSON.stringify(report, null, 2)}\n` : formatReport(report));
      if (!report.ok) throw new ReportedFailure();
    });
}
