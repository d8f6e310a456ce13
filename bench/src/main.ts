import { openNodeDevice } from "@mask-llava/runtime/node";
import { Command, CommanderError } from "commander";
import { kernelsCommand } from "./kernels/command.ts";
import { peersCommand } from "./peers/command.ts";
import { formatReport, realSizes } from "./real-size/index.ts";

const program = new Command("bench").description("Measurements of Mask-LLaVA's kernels and networks.");

program
  .command("real-size")
  .description("Run networks of real size on random weights, within the memory budget.")
  .option("--adapter <which>", "auto, gpu, software, or a part of an adapter's name", "auto")
  .option("--filter <text>", "only names that contain this", "")
  .option("--json", "print one JSON object on stdout")
  .action(async ({ adapter, filter, json }: { adapter: string; filter: string; json?: boolean }) => {
    const results: Record<string, unknown> = {};
    for (const [name, run] of Object.entries(realSizes)) {
      if (!name.includes(filter)) continue;
      using device = await openNodeDevice({ adapter }); // a device each, so that peaks are each one's own
      results.adapter = device.info;
      const measured = await run(device);
      results[name] = measured;
      process.stderr.write(`${formatReport(name, measured)}\n`);
    }
    if (json) process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
  });

program.addCommand(kernelsCommand()).addCommand(peersCommand());
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
