import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import type { HostTensorData } from "@mask-llava/models";
import { saveSafetensors } from "@mask-llava/models/node";
import { UsageError } from "./errors.ts";

export type SavedTensors = Readonly<Record<string, HostTensorData>>;

/**
 * Throws where `file` of `flag` cannot be written, before any work is done for it: it lies in no folder, in one that may
 * not be written to, is a folder or a device itself, or would replace a file of the model.
 */
export async function checkSaveTarget(
  file: string,
  model: string | undefined,
  flag = "--save-tensors",
): Promise<void> {
  const folder = dirname(resolve(file));
  const info = await stat(folder).catch(() => undefined);
  if (!info?.isDirectory()) {
    throw new Error(`${flag} ${file}: there is no folder ${folder}`);
  }
  await checkReplaceable(file, flag);
  const writable = await access(folder, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) throw new Error(`${flag} ${file}: the folder ${folder} may not be written to`);
  if (model !== undefined) await refuseFilesOf("model", model, file, flag);
}

/** Throws where `file` of `flag` is `owner`, a `what`, or lies in it or below it. */
export async function refuseFilesOf(
  what: "model" | "data set",
  owner: string,
  file: string,
  flag: string,
): Promise<void> {
  if (await isOf(owner, file))
    throw new UsageError(`${flag} ${file} would replace a file of the ${what} ${owner}`);
}

/**
 * Throws where a file cannot take the place of `file`. What is written is renamed into its place, which fails for a
 * folder, and would put a file where a device or a pipe is.
 */
export async function checkReplaceable(file: string, flag: string): Promise<void> {
  const target = await stat(file).catch(() => undefined);
  if (target?.isDirectory()) throw new Error(`${flag} ${file}: is a folder, expected a file's name`);
  if (target && !target.isFile())
    throw new Error(`${flag} ${file}: is no regular file, expected a file's name`);
}

/** Whether `file` is `owner`, or lies in that folder or below it, as a checkpoint or a data set may have sub-folders. */
async function isOf(owner: string, file: string): Promise<boolean> {
  const [own, inner, outer] = await Promise.all(
    [file, dirname(resolve(file)), owner].map((path) => realpath(path).catch(() => undefined)),
  );
  if (own === undefined || inner === undefined || outer === undefined) return false;
  return own === outer || inner === outer || inner.startsWith(outer.endsWith(sep) ? outer : outer + sep);
}

/** Writes the tensors, or nothing. */
export async function writeTensors(file: string, tensors: SavedTensors, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await saveSafetensors(file, tensors);
}

/** Ids as they are saved. [1, T] */
export function idTensor(ids: readonly number[]): HostTensorData {
  return { shape: [1, ids.length], data: Int32Array.from(ids) };
}
