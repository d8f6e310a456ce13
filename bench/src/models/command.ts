import { Command } from "commander";
import {
  type ArithmeticFlag,
  arithmeticOption,
  type CommonFlags,
  checkOutputs,
  chosen,
  withCommonFlags,
  writeOutputs,
} from "../common/flags.ts";
import { runModels } from "./index.ts";
import { modelKinds } from "./kinds.ts";
import { chartOf, csvOf, formatProgress, formatReport } from "./report.ts";

const examples = `
Examples:
  $ npm run bench -- models                              every network on the adapter that \`auto\` means
  $ npm run bench -- models --filter LLaMA --size real   a layer of LLaMA-7B, its prompt and a token
  $ npm run bench -- models --json models.json --csv models.csv --plot models.png

Sizes: "real" has the published networks' shapes and is the default on a GPU; "small" is the default on
software adapters that compute eight lanes at once, "tiny" on slower ones.`;

export function modelsCommand(): Command {
  const command = new Command("models").description(
    "Run whole networks on random weights: times, dispatches, pipelines, cold compiles, memory.",
  );
  return withCommonFlags(command, "networks")
    .addOption(arithmeticOption())
    .addHelpText("after", examples)
    .action(async (flags: CommonFlags & ArithmeticFlag) => {
      const kinds = chosen(modelKinds, flags, command);
      if (flags.list) return;
      await checkOutputs(flags);
      let done = 0;
      const report = await runModels({
        adapter: flags.adapter,
        arithmetic: flags.arithmetic,
        size: flags.size,
        names: kinds.map(({ name }) => name),
        note: flags.note,
        onRow: (row) => process.stderr.write(`${formatProgress(row, ++done, kinds.length)}\n`),
      });
      await writeOutputs(flags, { report, csv: () => csvOf(report), chart: () => chartOf(report) });
      process.stdout.write(`${formatReport(report)}\n`);
    });
}
