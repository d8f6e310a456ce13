import { openNodeDevice } from "@mask-llava/runtime/node";
import { Command } from "commander";
import { type CommonFlags, checkOutputs, chosen, withCommonFlags, writeOutputs } from "../common/flags.ts";
import { defaultSize } from "../common/sizes.ts";
import { kernelCases, runKernels } from "./index.ts";
import { chartOf, csvOf, formatProgress, formatReport } from "./report.ts";

const examples = `
Examples:
  $ npm run bench -- kernels                             all kernels on the adapter that \`auto\` means
  $ npm run bench -- kernels --filter "LLaMA decode"     matrix-vector products, attention and RoPE of a decoder's step
  $ npm run bench -- kernels --filter attention --adapter swiftshader --size tiny
  $ npm run bench -- kernels --json kernels.json --csv kernels.csv --plot kernels.png --note "fans at full speed"
  $ npm run bench -- kernels --list --size real          names of the cases, without a run

Sizes: "real" has the networks' own shapes and is the default on a GPU; "small" has a quarter of the widths and is the
default on software adapters that compute eight lanes at once, "tiny" on slower ones. Each case is compared with loops in
f64 before it is timed: a wrong kernel ends the run with exit code 1. Bad flags end it with 2.`;

export function kernelsCommand(): Command {
  const command = new Command("kernels").description(
    "Check and time every kernel, with the shapes that the networks run, against the adapter's roofs.",
  );
  return withCommonFlags(command)
    .addHelpText("after", examples)
    .action(async (flags: CommonFlags) => {
      if (flags.list) {
        chosen(kernelCases(flags.size ?? "real"), flags, command);
        return;
      }
      await checkOutputs(flags);
      using device = await openNodeDevice({ adapter: flags.adapter });
      const size = flags.size ?? defaultSize(device);
      const cases = chosen(kernelCases(size), flags, command);
      let done = 0;
      const report = await runKernels(device, {
        size,
        cases,
        note: flags.note,
        onRow: (row) => process.stderr.write(`${formatProgress(row, ++done, cases.length)}\n`),
      });
      await writeOutputs(flags, { report, csv: () => csvOf(report), chart: () => chartOf(report) });
      process.stdout.write(`${formatReport(report)}\n`);
    });
}
