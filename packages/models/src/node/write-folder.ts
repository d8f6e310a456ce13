import { randomBytes } from "node:crypto";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";

/**
 * Fills a new folder under a temporary name and gives its content the name `folder` when `fill` is done, so that nobody
 * takes half of it for the whole. `folder` must be absent or empty: else, or where it no longer is when `fill` is done, this
 * fails with ENOTEMPTY as renaming does.
 *
 * Where it is absent, the temporary folder `folder.<hex>.tmp` stands beside it and is renamed: it appears at once. Where it
 * is there, it may be what cannot be replaced (a mounted volume, the folder this process is in, a link), so the temporary
 * folder `.<hex>.tmp` stands in it, and what that holds is moved up, entry by entry. A failure leaves nothing of either
 * behind; a crash leaves the temporary folder and, in the moment of moving up, some entries beside it.
 */
export async function writeFolder<T>(folder: string, fill: (at: string) => Promise<T>): Promise<T> {
  const isThere = (await stat(folder).catch(() => undefined))?.isDirectory() ?? false;
  if (isThere) expectEmpty(folder, await readdir(folder));
  const name = `.${randomBytes(6).toString("hex")}.tmp`;
  const temporary = isThere ? join(folder, name) : `${resolve(folder)}${name}`;
  try {
    await mkdir(temporary);
    const result = await fill(temporary);
    if (isThere) await moveUp(folder, name);
    else await rename(temporary, folder);
    return result;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Moves what `folder/name` holds to `folder`, which must hold nothing else: nothing is replaced. */
async function moveUp(folder: string, name: string): Promise<void> {
  expectEmpty(
    folder,
    (await readdir(folder)).filter((entry) => entry !== name),
  );
  const moved: string[] = [];
  try {
    for (const entry of await readdir(join(folder, name))) {
      await rename(join(folder, name, entry), join(folder, entry));
      moved.push(entry);
    }
  } catch (error) {
    for (const entry of moved) await rm(join(folder, entry), { recursive: true, force: true });
    throw error;
  }
}

function expectEmpty(folder: string, entries: readonly string[]): void {
  if (entries.length === 0) return;
  const [first, ...others] = entries;
  const found = others.length > 0 ? `${first} and ${others.length} more` : first;
  const error = new Error(`ENOTEMPTY: found ${found} in ${folder}, expected an empty folder`);
  throw Object.assign(error, { code: "ENOTEMPTY", syscall: "rename", path: folder });
}
