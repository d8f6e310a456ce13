import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

/** Hexadecimal digits of a fingerprint. */
const digits = 16;

/** Names texts by their content. */
export function fingerprint(...texts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text.length}:`).update(text);
  return hash.digest("hex").slice(0, digits);
}

/** Names a checkpoint folder by the names and the content of all its files. */
export async function folderFingerprint(folder: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for (const name of (await readdir(folder, { recursive: true })).toSorted()) {
    const file = join(folder, name);
    if (!(await stat(file)).isFile()) continue;
    hash.update(`\0${name}\0`);
    for await (const chunk of createReadStream(file, { signal })) hash.update(chunk as Buffer);
  }
  return hash.digest("hex").slice(0, digits);
}
