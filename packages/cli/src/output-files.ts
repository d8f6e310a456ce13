import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, realpath, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Pixels } from "@mask-llava/models";
import { encodePng, saveSafetensors } from "@mask-llava/models/node";
import { UsageError } from "./errors.ts";
import type { SavedFilesOutput } from "./output.ts";
import { checkReplaceable, checkSaveTarget, type SavedTensors } from "./save-tensors.ts";

/** Flags that name what is written. */
export interface OutputFlags {
  readonly model?: string;
  readonly saveTensors?: string;
  readonly savePicture?: string;
  readonly saveMasks?: string;
  readonly saveCoco?: string;
}

/** What is to be written; each is made only where its flag is given. */
export interface Outputs {
  readonly tensors: () => SavedTensors;
  readonly picture?: () => Pixels;
  readonly coco?: () => unknown;
  /** File names without folder, and grey pictures. */
  readonly masks?: () => readonly { readonly name: string; readonly picture: Pixels }[];
}

/**
 * Throws where what the flags name cannot be written, before any work is done for it: places that cannot be written to, the
 * same file twice, files of the model, and files that are read.
 */
export async function checkOutputs(flags: OutputFlags, read: readonly string[]): Promise<void> {
  const files = [
    ["--save-tensors", flags.saveTensors],
    ["--save-picture", flags.savePicture],
    ["--save-coco", flags.saveCoco],
  ] as const;
  await checkFiles(files, [flags.model], read);
  if (flags.saveMasks !== undefined) await checkMaskFolder(flags.saveMasks, flags.model);
}

/**
 * Throws where one of `files` (a flag, and the file that it names) cannot be written: places that cannot be written to, the
 * same file twice, files of models, and files that are read.
 */
export async function checkFiles(
  files: readonly (readonly [flag: string, file: string | undefined])[],
  models: readonly (string | undefined)[],
  read: readonly string[],
): Promise<void> {
  const inputs = new Set(await Promise.all(read.map(canonical)));
  const taken = new Map<string, string>();
  for (const [flag, file] of files) {
    if (file === undefined) continue;
    for (const model of models) await checkSaveTarget(file, model, flag);
    const path = await canonical(file);
    if (inputs.has(path)) throw new UsageError(`${flag} ${file} would replace a file that is read`);
    const other = taken.get(path);
    if (other) throw new UsageError(`${flag} ${file} is the file of ${other} too`);
    taken.set(path, flag);
  }
}

async function checkMaskFolder(folder: string, model: string | undefined): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (info && !info.isDirectory()) throw new Error(`--save-masks ${folder}: is a file, expected a folder`);
  const path = await canonical(folder);
  if (model !== undefined && path === (await canonical(model))) {
    throw new UsageError(`--save-masks ${folder} is the folder of the model`);
  }
  const parent = info ? resolve(folder) : dirname(resolve(folder));
  const parentInfo = await stat(parent).catch(() => undefined);
  if (!parentInfo?.isDirectory()) throw new Error(`--save-masks ${folder}: there is no folder ${parent}`);
  const writable = await access(parent, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) throw new Error(`--save-masks ${folder}: the folder ${parent} may not be written to`);
}

/** A path without links, also of a file that is not there yet. */
async function canonical(path: string): Promise<string> {
  const known = await realpath(path).catch(() => undefined);
  if (known !== undefined) return known;
  const folder = await realpath(dirname(resolve(path))).catch(() => dirname(resolve(path)));
  return join(folder, basename(path));
}

/** A file that a flag names, and how it is written. */
export interface PendingFile {
  readonly flag: string;
  readonly file: string;
  readonly write: (to: string) => Promise<void>;
}

/** Writes everything that the flags name, or nothing. */
export async function writeOutputs(flags: OutputFlags, outputs: Outputs, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const files: PendingFile[] = [];
  const { tensors, picture, coco, masks } = outputs;
  const add = (flag: string, file: string, write: PendingFile["write"]) => files.push({ flag, file, write });
  if (flags.saveTensors !== undefined) {
    add("--save-tensors", flags.saveTensors, (to) => saveSafetensors(to, tensors()));
  }
  if (flags.savePicture !== undefined && picture) {
    add("--save-picture", flags.savePicture, async (to) => writeFile(to, await encodePng(picture())));
  }
  if (flags.saveCoco !== undefined && coco) {
    add("--save-coco", flags.saveCoco, (to) => writeFile(to, `${JSON.stringify(coco())}\n`));
  }
  let made: string | undefined;
  if (flags.saveMasks !== undefined && masks) {
    const folder = flags.saveMasks;
    const exists = await stat(folder).catch(() => undefined);
    if (!exists) {
      await mkdir(folder);
      made = folder;
    }
    for (const mask of masks()) {
      add("--save-masks", join(folder, mask.name), async (to) =>
        writeFile(to, await encodePng(mask.picture)),
      );
    }
  }
  try {
    await writeAll(files, signal);
  } catch (error) {
    if (made !== undefined) await rmdir(made).catch(() => {});
    throw error;
  }
}

/**
 * Writes all files under temporary names beside their places and renames them when all are there, and each has a place
 * that it can take: once one is renamed, what it replaced is gone.
 */
export async function writeAll(files: readonly PendingFile[], signal: AbortSignal): Promise<void> {
  const suffix = `.${randomBytes(6).toString("hex")}.tmp`;
  try {
    for (const { flag, file, write } of files) {
      await naming(flag, file, () => write(`${file}${suffix}`));
      signal.throwIfAborted();
    }
    for (const { flag, file } of files) await checkReplaceable(file, flag);
    for (const { flag, file } of files) await naming(flag, file, () => rename(`${file}${suffix}`, file));
  } catch (error) {
    await Promise.all(files.map(({ file }) => rm(`${file}${suffix}`, { force: true })));
    throw error;
  }
}

async function naming(flag: string, file: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${flag} ${file}: cannot be written: ${reason}`, { cause });
  }
}

/** What was written, for `--json`. */
export function savedFiles(flags: OutputFlags): SavedFilesOutput {
  const { savePicture, saveMasks, saveCoco } = flags;
  return {
    ...(savePicture !== undefined && { savedPicture: savePicture }),
    ...(saveMasks !== undefined && { savedMasks: saveMasks }),
    ...(saveCoco !== undefined && { savedCoco: saveCoco }),
  };
}
