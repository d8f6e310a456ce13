import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import type { HostTensorData } from "@mask-llava/models";
import { saveSafetensors } from "@mask-llava/models/node";
import { UsageError } from "./errors.ts";

export type SavedTensors = Readonly<Record<string, HostTensorData>>;

/**
 * Throws where `file` cannot be written, before any work is done for it: it lies in no folder, in one that may not be
 * written to, is a folder itself, or would replace a file of the model.
 */
export async function checkSaveTarget(file: string, model: string | undefined): Promise<void> {
  const folder = dirname(resolve(file));
  const info = await stat(folder).catch(() => undefined);
  if (!info?.isDirectory()) {
    throw new Error(`--save-tensors ${file}: there is no folder ${folder}`);
  }
  const target = await stat(file).catch(() => undefined);
  if (target?.isDirectory()) throw new Error(`--save-tensors ${file}: is a folder, expected a file's name`);
  const writable = await access(folder, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) throw new Error(`--save-tensors ${file}: the folder ${folder} may not be written to`);
  if (target && model !== undefined && (await sameFolder(folder, model))) {
    throw new UsageError(`--save-tensors ${file} would replace a file of the model ${model}`);
  }
}

async function sameFolder(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([a, b].map((path) => realpath(path).catch(() => undefined)));
  return first !== undefined && first === second;
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
