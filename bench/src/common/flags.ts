import { type NetworkArithmetic, networkArithmetics } from "@mask-llava/runtime";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { TopLevelSpec } from "vega-lite";
import { chartFile, writeChart } from "./chart.ts";
import { checkWritable, writeWhole } from "./output-file.ts";
import { type Size, sizes } from "./sizes.ts";

/** What every sub-command takes. */
export interface CommonFlags {
  readonly filter: string;
  readonly adapter: string;
  readonly size?: Size;
  readonly json?: string;
  readonly csv?: string;
  readonly plot?: readonly string[];
  readonly note?: string;
  readonly list?: boolean;
}

/** A parser of names, which no flag may leave empty. */
export function nonEmpty(value: string): string {
  if (value === "") throw new InvalidArgumentError("It is empty.");
  return value;
}

function plots(value: string, before: readonly string[] = []): readonly string[] {
  if (!chartFile(value)) throw new InvalidArgumentError("Expected a name that ends in .svg or .png.");
  return [...before, value];
}

/** Where to run, and what to write. */
export function withOutputFlags(command: Command): Command {
  return command
    .option("--adapter <which>", "auto, gpu, software, or a part of an adapter's name", nonEmpty, "auto")
    .option("--json <file>", "write everything that was measured", nonEmpty)
    .option("--csv <file>", "write a line for each result", nonEmpty)
    .option("--plot <file>", "draw the results: .svg or .png; may be given twice", plots)
    .option("--note <text>", "a remark on the run, kept with its figures");
}

/** @param cases what `--filter` chooses from */
export function withCommonFlags(command: Command, cases = "cases"): Command {
  return withOutputFlags(command)
    .option("--filter <text>", `only ${cases} whose name contains this, in any case`, "")
    .addOption(
      new Option("--size <size>", `how large the ${cases} are (default: by the adapter)`).choices(sizes),
    )
    .option("--list", `print the names of the ${cases} and measure nothing`);
}

/** Prints the names where `--list` asks for them, and ends with a usage error where `--filter` leaves none. */
export function chosen<T extends { readonly name: string }>(
  all: readonly T[],
  { filter, list }: CommonFlags,
  command: Command,
): readonly T[] {
  const found = all.filter(({ name }) => name.toLowerCase().includes(filter.toLowerCase()));
  if (found.length === 0)
    command.error(`error: --filter ${JSON.stringify(filter)}: no name contains that (--list shows all)`);
  if (list) process.stdout.write(found.map(({ name }) => `${name}\n`).join(""));
  return found;
}

/** `--arithmetic` of commands that run networks. */
export interface ArithmeticFlag {
  readonly arithmetic: NetworkArithmetic;
}

export function arithmeticOption(): Option {
  return new Option("--arithmetic <kind>", "of larger products: f32, or inputs rounded to what weights are")
    .choices(networkArithmetics)
    .default("f32");
}

/** Throws where one of the files could not be written, before anything is measured for it. */
export async function checkOutputs({ json, csv, plot = [] }: CommonFlags): Promise<void> {
  if (json) await checkWritable("--json", json);
  if (csv) await checkWritable("--csv", csv);
  for (const file of plot) await checkWritable("--plot", file);
}

/** Writes the files that were asked for. */
export async function writeOutputs(
  { json, csv, plot = [] }: CommonFlags,
  results: { readonly report: unknown; csv(): string; chart(): TopLevelSpec },
): Promise<void> {
  if (json) await writeWhole(json, `${JSON.stringify(results.report, null, 2)}\n`);
  if (csv) await writeWhole(csv, results.csv());
  for (const file of plot) await writeChart(file, results.chart());
}
