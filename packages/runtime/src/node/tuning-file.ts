import { createHash, randomUUID } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { AdapterDescription } from "../capabilities.ts";
import { Tuning } from "../tuning.ts";
import { userCacheFolder } from "./cache-folder.ts";

/** Counts up whenever a variant's name means another kernel. */
const version = 2;

interface TuningFile {
  readonly version: number;
  readonly adapter: AdapterDescription;
  readonly choices: Readonly<Record<string, string>>;
}

/** The file of the user's cache folder that holds what was tuned on an adapter with its driver, which `description` names. */
export function tuningFile(adapter: AdapterDescription, folder = userCacheFolder()): string {
  const { vendor, architecture, device, description } = adapter;
  const id = createHash("sha256").update(JSON.stringify([vendor, architecture, device, description]));
  return join(folder, "tuning", `${id.digest("hex").slice(0, 16)}.json`);
}

/** What was tuned on this adapter before; nothing where it never was, or by another version, or the file is broken. */
export function readTuning(adapter: AdapterDescription, folder?: string): Tuning {
  try {
    const file = JSON.parse(readFileSync(tuningFile(adapter, folder), "utf8")) as Partial<TuningFile>;
    if (file.version !== version || typeof file.choices !== "object" || file.choices === null)
      return new Tuning();
    return new Tuning(Object.entries(file.choices).filter(([, name]) => typeof name === "string"));
  } catch {
    return new Tuning(); // a cache: what cannot be read is not there
  }
}

/** Writes choices under a temporary name, then renames. Returns the file's name. */
export function writeTuning(
  adapter: AdapterDescription,
  choices: ReadonlyMap<string, string>,
  folder?: string,
): string {
  const path = tuningFile(adapter, folder);
  const content: TuningFile = { version, adapter, choices: Object.fromEntries(choices) };
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const part = `${path}.${randomUUID()}.part`;
  try {
    writeFileSync(part, `${JSON.stringify(content, null, 1)}\n`);
    renameSync(part, path);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  }
  return path;
}
