import {
  ComposeError,
  type ComposeOptions,
  type DropPolicy,
  dropPolicies,
  type Mask,
} from "@mask-llava/composer";
import type { Box } from "@mask-llava/models";
import { readMask } from "@mask-llava/models/node";
import { type Command, InvalidArgumentError, Option } from "commander";
import { readCocoBoxes } from "./coco/index.ts";
import { UsageError } from "./errors.ts";
import { filledText, listFlag, numberParser } from "./flags.ts";
import type { PictureOutput } from "./output.ts";
import { addOptions, boxFlag, checkBoxesWithin } from "./picture-flags.ts";

/** Flags that say which visual tokens a Mask-LLaVA checkpoint gives its decoder. */
export interface BudgetFlags {
  readonly tokens?: number;
  readonly objects?: number;
  readonly patchGrid?: { readonly rows: number; readonly columns: number };
  /** False with `--no-cls`. */
  readonly cls: boolean;
  /** False with `--no-patches`. */
  readonly patches: boolean;
  /** False with `--no-background`. */
  readonly background: boolean;
  readonly dropPolicy?: DropPolicy;
  readonly seed?: number;
  readonly box?: readonly Box[];
  readonly boxes?: string;
  readonly mask?: readonly string[];
}

const mostTokens = 2 ** 31 - 1;

function parseGrid(text: string): { rows: number; columns: number } {
  const [, rows, columns] = /^([1-9]\d{0,5})x([1-9]\d{0,5})$/i.exec(text.trim()) ?? [];
  if (rows === undefined || columns === undefined) {
    throw new InvalidArgumentError("Expected rows x columns of at least 1x1, such as 4x4.");
  }
  return { rows: Number(rows), columns: Number(columns) };
}

/** Flags that leave a kind of token out. */
export function kindFlags(): Option[] {
  return [
    new Option("--no-cls", "leave the [CLS] token out"),
    new Option("--no-patches", "leave the patch tokens out"),
    new Option("--no-background", "leave the background token out"),
  ];
}

/** `--patch-grid`. */
export function patchGridFlag(): Option {
  return new Option("--patch-grid <RxC>", "rows and columns that the patch tokens are pooled to").argParser(
    parseGrid,
  );
}

/** Adds the flags of a budget, and of objects that are given instead of found. */
export function addBudgetFlags(command: Command): Command {
  return addOptions(
    command,
    new Option("--tokens <n>", "visual tokens in all: [CLS], then a pooled grid, then objects").argParser(
      numberParser({ integer: true, least: 1, most: mostTokens }),
    ),
    new Option("--objects <k>", "object tokens, without the background").argParser(
      numberParser({ integer: true, least: 0, most: mostTokens }),
    ),
    patchGridFlag(),
    ...kindFlags(),
    new Option(
      "--drop-policy <policy>",
      "which objects stay when the budget is short (default: score)",
    ).choices(dropPolicies),
    boxFlag("a box around an object, in pixels, instead of what the detector finds"),
    new Option("--boxes <file>", "boxes of a COCO JSON file, such as --save-coco writes").argParser(
      filledText("a file name"),
    ),
    listFlag(
      "--mask <file>",
      "an object's mask of the picture's size, black and white, instead of what is found",
      filledText("a mask file"),
    ),
  );
}

/** `--seed` of the random drop policy, for a command that samples nothing else. */
export function dropSeedFlag(): Option {
  return new Option("--seed <n>", "seed of --drop-policy random").argParser(
    numberParser({ integer: true, least: 0, most: 2 ** 32 - 1 }),
  );
}

/** The budget's flags that were given, as they are written. */
export function givenBudgetFlags(flags: BudgetFlags): string[] {
  const { tokens, objects, patchGrid, cls, patches, background, dropPolicy, box, boxes, mask } = flags;
  return [
    ...(tokens !== undefined ? [`--tokens ${tokens}`] : []),
    ...(objects !== undefined ? [`--objects ${objects}`] : []),
    ...(patchGrid ? [`--patch-grid ${patchGrid.rows}x${patchGrid.columns}`] : []),
    ...(cls ? [] : ["--no-cls"]),
    ...(patches ? [] : ["--no-patches"]),
    ...(background ? [] : ["--no-background"]),
    ...(dropPolicy ? [`--drop-policy ${dropPolicy}`] : []),
    ...(box ? ["--box"] : []),
    ...(boxes !== undefined ? ["--boxes"] : []),
    ...(mask ? ["--mask"] : []),
  ];
}

/** Throws a UsageError where the flags contradict each other. */
export function checkBudgetFlags({ patches, patchGrid, box, boxes, mask }: BudgetFlags): void {
  checkPatchFlags({ patches, patchGrid });
  if (!mask || (!box && boxes === undefined)) return;
  throw new UsageError(
    `--mask says what the objects are, which leaves ${box ? "--box" : "--boxes"} nothing to do`,
  );
}

/** Throws a UsageError where there are to be no patch tokens and a grid of them. */
export function checkPatchFlags({ patches, patchGrid }: Pick<BudgetFlags, "patches" | "patchGrid">): void {
  if (!patches && patchGrid) throw new UsageError("--no-patches leaves --patch-grid nothing to do");
}

/** The budget as the composer takes it, with boxes and masks read and checked. */
export async function budgetOptions(flags: BudgetFlags, picture: PictureOutput): Promise<ComposeOptions> {
  const { tokens, objects, patchGrid, cls, patches, background, dropPolicy, seed } = flags;
  const boxes = await givenBoxes(flags, picture);
  const masks = flags.mask && (await Promise.all(flags.mask.map((file) => binaryMask(file, picture))));
  return {
    ...(tokens !== undefined && { tokens }),
    ...(objects !== undefined && { objects }),
    ...(patchGrid && { patchGrid }),
    ...(!cls && { cls }),
    ...(!patches && { patches }),
    ...(!background && { background }),
    ...(dropPolicy && { dropPolicy }),
    ...(seed !== undefined && { dropSeed: seed }),
    ...(boxes && { boxes }),
    ...(masks && { masks }),
  };
}

/** Runs a composition; a budget that does not fit is an error that names the flags. */
export async function withBudgetNamed<T>(flags: BudgetFlags, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const given = givenBudgetFlags(flags);
    if (!(error instanceof ComposeError) || given.length === 0) throw error;
    throw new Error(`${given.join(" ")}: ${error.message}`, { cause: error });
  }
}

async function givenBoxes(flags: BudgetFlags, picture: PictureOutput): Promise<readonly Box[] | undefined> {
  const { box, boxes: file } = flags;
  if (!box && file === undefined) return undefined;
  if (box) checkBoxesWithin(box, picture);
  const read = file === undefined ? [] : await readCocoBoxes(file);
  checkBoxesWithin(read, picture, `--boxes ${file}`);
  return [...(box ?? []), ...read];
}

/** A mask that is black and white: what lies between has no place among objects. */
async function binaryMask(file: string, picture: PictureOutput): Promise<Mask> {
  const { width, height, data } = await readMask(file);
  if (width !== picture.width || height !== picture.height) {
    throw new UsageError(
      `--mask ${file}: is ${width}x${height}, expected the picture's ${picture.width}x${picture.height}`,
    );
  }
  const grey = data.findIndex((v) => v !== 0 && v !== 1);
  if (grey >= 0) {
    const value = Math.round(255 * (data[grey] as number));
    throw new UsageError(
      `--mask ${file}: found the grey ${value} at x ${grey % width}, y ${Math.floor(grey / width)}, expected 0 and 255 alone`,
    );
  }
  return { width, height, data: Uint8Array.from(data) };
}
