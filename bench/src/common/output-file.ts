import { randomBytes } from "node:crypto";
import { access, constants, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** Throws where a file could not be made, before the minutes that its content takes. */
export async function checkWritable(flag: string, file: string): Promise<void> {
  const folder = dirname(file);
  try {
    await access(folder, constants.W_OK);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${flag} ${file}: nothing can be written in ${folder}: ${reason}`, { cause });
  }
  const found = await stat(file).catch(() => undefined);
  if (found && !found.isFile())
    throw new Error(`${flag} ${file}: expected a file, found something else there`);
}

/** Writes a file under a temporary name beside it and renames it: nobody sees half of it. */
export async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
