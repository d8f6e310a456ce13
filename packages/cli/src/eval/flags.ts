import { type DropPolicy, dropPolicies, type Grid, settingsFile } from "@mask-llava/composer";
import { type Command, InvalidArgumentError, Option } from "commander";
import { checkPatchFlags, dropSeedFlag, kindFlags, patchGridFlag } from "../budget-flags.ts";
import { UsageError } from "../errors.ts";
import { filledText, kvDtypeFlag, type ModelFlags, numberParser } from "../flags.ts";
import { addOptions } from "../picture-flags.ts";
import type { Settled } from "../weight-dtype.ts";
import { llavaConfiguration, maskLlavaConfigurations } from "./configurations.ts";

/** A checkpoint of `--compare NAME=DIR`. */
export interface Compared {
  readonly name: string;
  readonly folder: string;
}

export interface EvalFlags extends Settled<Omit<ModelFlags, "saveTensors">> {
  readonly dataset: string;
  readonly imageFolder?: string;
  readonly limit?: number;
  /** Budgets; null: all tokens. */
  readonly tokens?: readonly (number | null)[];
  readonly dropPolicy?: readonly DropPolicy[];
  readonly seed?: number;
  readonly objects?: number;
  readonly patchGrid?: Grid;
  readonly cls: boolean;
  readonly patches: boolean;
  readonly background: boolean;
  readonly ablations?: boolean;
  readonly baseline?: string;
  readonly compare?: readonly Compared[];
  readonly probeDataset?: string;
  readonly suffix?: string;
  readonly maxNewTokens?: number;
  readonly answers?: string;
  readonly resume?: boolean;
  readonly csv?: string;
  readonly saveJson?: string;
  readonly plot?: readonly string[];
}

const mostTokens = 2 ** 31 - 1;
const wholeTokens = numberParser({ integer: true, least: 1, most: mostTokens });

function parseTokens(text: string): (number | null)[] {
  return text.split(",").map((part) => {
    if (part.trim() === "all") return null;
    try {
      return wholeTokens(part);
    } catch {
      throw new InvalidArgumentError(
        "Expected whole numbers of at least 1, or all, parted by commas, such as 8,16,24,all.",
      );
    }
  });
}

function parsePolicies(text: string): DropPolicy[] {
  const parts = text.split(",").map((part) => part.trim());
  const policies = parts.filter((part): part is DropPolicy => dropPolicies.includes(part as DropPolicy));
  if (policies.length < parts.length) {
    throw new InvalidArgumentError(`Expected ${dropPolicies.join(", ")}, parted by commas.`);
  }
  return [...new Set(policies)];
}

function parseCompared(text: string, before: readonly Compared[] = []): Compared[] {
  const at = text.indexOf("=");
  const [name, folder] = [text.slice(0, at).trim(), text.slice(at + 1)];
  if (at < 0 || !name || !folder) {
    throw new InvalidArgumentError(
      'Expected a name and a checkpoint folder, such as "no scaling=runs/none".',
    );
  }
  return [...before, { name, folder }];
}

const plotFile = /\.(svg|png)$/i;

function parsePlot(text: string, before: readonly string[] = []): string[] {
  if (!plotFile.test(text)) throw new InvalidArgumentError("Expected a file name that ends in .svg or .png.");
  return [...before, text];
}

/** Adds the flags of `mask-llava eval`, but for those of every command that runs a model. */
export function addEvalFlags(command: Command): Command {
  const file = (flags: string, description: string, what = "a file name") =>
    new Option(flags, description).argParser(filledText(what));
  return addOptions(
    command,
    file(
      "--dataset <path>",
      "a folder that `mask-llava scenes` wrote, or a JSONL file of questions",
      "a folder or a file name",
    ).makeOptionMandatory(),
    file("--image-folder <dir>", "folder of a JSONL file's pictures (default: the file's own)", "a folder"),
    new Option("--limit <n>", "measure on the first n pictures only").argParser(wholeTokens),
    new Option(
      "--tokens <list>",
      "budgets of visual tokens, such as 8,16,24,all; a picture that has fewer gives all it has (default: all)",
    ).argParser(parseTokens),
    new Option(
      "--drop-policy <list>",
      "which objects stay when a budget is short: score, area, diverse, random; every budget is measured with each (default: score)",
    ).argParser(parsePolicies),
    dropSeedFlag(),
    new Option("--objects <k>", "object tokens at most, without the background").argParser(
      numberParser({ integer: true, least: 0, most: mostTokens }),
    ),
    patchGridFlag(),
    ...kindFlags(),
    new Option(
      "--ablations",
      "also measure without [CLS], without patches, without objects, without background",
    ),
    file("--baseline <dir>", "a LLaVA checkpoint, measured with all its patch tokens", "a checkpoint folder"),
    new Option(
      "--compare <name=dir>",
      "a further Mask-LLaVA checkpoint, measured with all tokens (may be repeated)",
    ).argParser(parseCompared),
    file(
      "--probe-dataset <dir>",
      "scenes to train linear probes on, which name colour, shape and size by an object's token alone",
      "a folder",
    ),
    file("--suffix <text>", "text that is put behind every question", "a text"),
    new Option("--max-new-tokens <n>", "end an answer after so many tokens").argParser(wholeTokens),
    kvDtypeFlag("f16 with --dtype q8 and q4, else f32"),
    file("--answers <file>", "write a line of JSON an answer, picture by picture; --resume goes on from it"),
    new Option("--resume", "go on from the file of --answers, which must be of the same run"),
    file("--csv <file>", "write a line a configuration and kind"),
    file("--save-json <file>", "write what --json prints"),
    new Option(
      "--plot <file>",
      "draw accuracy against visual tokens, as .svg or .png (may be repeated)",
    ).argParser(parsePlot),
  );
}

/** Throws a UsageError where flags contradict each other. */
export function checkEvalFlags(flags: EvalFlags): void {
  checkPatchFlags(flags);
  const { dropPolicy, tokens, objects, seed, compare = [] } = flags;
  if (seed !== undefined && !dropPolicy?.includes("random")) {
    throw new UsageError("--seed has a meaning only with --drop-policy random");
  }
  if (dropPolicy && objects === undefined && !tokens?.some((budget) => budget !== null)) {
    throw new UsageError("--drop-policy has a meaning only with --objects, or numbers in --tokens");
  }
  if (flags.resume && flags.answers === undefined) {
    throw new UsageError("--resume needs --answers FILE: what to go on from");
  }
  const names = compare.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`--compare: the name "${twice}" is given twice`);
  const own = [
    ...maskLlavaConfigurations(flags).map(({ name }) => name),
    ...(flags.baseline === undefined ? [] : [llavaConfiguration("baseline").name]),
  ];
  const taken = names.find((name) => own.includes(name));
  if (taken !== undefined) {
    throw new UsageError(
      `--compare: the name "${taken}" is that of another configuration; expected one of its own`,
    );
  }
}

/** Throws a UsageError for flags that a LLaVA checkpoint in `--model` has no use for. */
export function refuseMaskLlavaFlags(flags: EvalFlags): void {
  const { tokens, dropPolicy, objects, patchGrid, cls, patches, background, ablations } = flags;
  const idle = Object.entries({
    "--tokens": tokens?.some((budget) => budget !== null),
    "--drop-policy": dropPolicy,
    "--objects": objects !== undefined,
    "--patch-grid": patchGrid,
    "--no-cls": !cls,
    "--no-patches": !patches,
    "--no-background": !background,
    "--ablations": ablations,
    "--probe-dataset": flags.probeDataset !== undefined,
  }).flatMap(([flag, given]) => (given ? [flag] : []));
  if (idle.length === 0) return;
  throw new UsageError(
    `${idle.join(" ")}: needs a Mask-LLaVA checkpoint, found no ${settingsFile} in ${flags.model}`,
  );
}
