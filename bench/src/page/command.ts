import { fileURLToPath } from "node:url";
import { Command } from "commander";
import { nonEmpty } from "../common/flags.ts";
import { writePage } from "./page.ts";

const root = (path: string): string => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

interface PageFlags {
  readonly results: string;
  readonly out: string;
}

export function pageCommand(): Command {
  return new Command("page")
    .description("Write the page of results, with its plots, from the JSON files of earlier runs.")
    .option("--results <dir>", "folder of files that --json wrote", nonEmpty, root("bench/results"))
    .option(
      "--out <file>",
      "the page; its plots go into a folder of its name",
      nonEmpty,
      root("docs/benchmarks.md"),
    )
    .action(async ({ results, out }: PageFlags) => {
      const count = await writePage(results, out);
      process.stdout.write(`${count} reports in ${out}\n`);
    });
}
