import { openNodeDevice } from "@mask-llava/runtime/node";
import { Command, InvalidArgumentError, Option } from "commander";
import { type KernelCase, type Size, sizes } from "./cases.ts";
import { casesOf, defaultSize, runKernels } from "./index.ts";
import { checkWritable, writeWhole } from "./output-file.ts";
import { formatCsv, formatHead, formatProgress, formatTable } from "./report.ts";

interface Flags {
  readonly filter: string;
  readonly adapter: string;
  readonly size?: Size;
  readonly json?: string;
  readonly csv?: string;
  readonly note?: string;
  readonly list?: boolean;
}

const examples = `
Examples:
  $ npm run bench -- kernels                             all kernels on the adapter that \`auto\` means
  $ npm run bench -- kernels --filter "LLaMA decode"     matrix-vector products, attention and RoPE of a decoder's step
  $ npm run bench -- kernels --filter attention --adapter swiftshader --size tiny
  $ npm run bench -- kernels --json kernels.json --csv kernels.csv --note "fans at full speed"
  $ npm run bench -- kernels --list --size real          names of the cases, without a run

Sizes: "real" has the networks' own shapes and is the default on a GPU; "small" has a quarter of the widths and is the
default on software adapters; "tiny" shows within two minutes that everything works. Each case is compared with loops in
f64 before it is timed: a wrong kernel ends the run with exit code 1. Bad flags end it with 2.`;

function name(value: string): string {
  if (value === "") throw new InvalidArgumentError("It is empty.");
  return value;
}

export function kernelsCommand(): Command {
  return new Command("kernels")
    .description(
      "Check and time every kernel, with the shapes that the networks run, against the adapter's roofs.",
    )
    .option("--filter <text>", "only cases whose name contains this, in any case", "")
    .option("--adapter <which>", "auto, gpu, software, or a part of an adapter's name", name, "auto")
    .addOption(
      new Option("--size <size>", "how large the cases are (default: by the adapter)").choices(sizes),
    )
    .option("--json <file>", "write everything that was measured", name)
    .option("--csv <file>", "write a line a case", name)
    .option("--note <text>", "a remark on the run, kept with its figures")
    .option("--list", "print the cases' names and measure nothing")
    .addHelpText("after", examples)
    .action(async (flags: Flags, command: Command) => {
      if (flags.list) {
        const cases = found(flags.size ?? "real", flags, command);
        process.stdout.write(cases.map((c) => `${c.name}\n`).join(""));
        return;
      }
      await measure(flags, command);
    });
}

/** The cases that the flags ask for; none at all is a mistake in `--filter`. */
function found(size: Size, { filter }: Flags, command: Command): KernelCase[] {
  const cases = casesOf(size, filter);
  if (cases.length === 0)
    command.error(
      `error: --filter ${JSON.stringify(filter)}: no case of size ${size} has that in its name (--list shows them)`,
    );
  return cases;
}

async function measure(flags: Flags, command: Command): Promise<void> {
  const { adapter, json, csv, note } = flags;
  if (json) await checkWritable("--json", json);
  if (csv) await checkWritable("--csv", csv);
  using device = await openNodeDevice({ adapter });
  const size = flags.size ?? defaultSize(device);
  const cases = found(size, flags, command);
  let done = 0;
  const report = await runKernels(device, {
    size,
    cases,
    note,
    onRow: (row) => process.stderr.write(`${formatProgress(row, ++done, cases.length)}\n`),
  });
  if (json) await writeWhole(json, `${JSON.stringify(report, null, 2)}\n`);
  if (csv) await writeWhole(csv, formatCsv(report));
  process.stdout.write(`${formatHead(report)}\n\n${formatTable(report.rows)}\n\n`);
  process.stdout.write(`${report.rows.length} cases in ${report.seconds.toFixed(0)} s\n`);
}
