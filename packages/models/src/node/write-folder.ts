import { randomBytes } from "node:crypto";
import { mkdir, rename, rm, rmdir } from "node:fs/promises";
import { resolve } from "node:path";

/**
 * Fills a new folder under a temporary name beside `folder` and renames it when `fill` is done, so that nobody sees half of
 * it. `folder` must be absent or empty.
 */
export async function writeFolder<T>(folder: string, fill: (at: string) => Promise<T>): Promise<T> {
  const temporary = `${resolve(folder)}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await mkdir(temporary);
    const result = await fill(temporary);
    // a folder takes the place of an empty one on POSIX alone
    await rmdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
    await rename(temporary, folder);
    return result;
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}
