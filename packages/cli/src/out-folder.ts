import { access, constants, readdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Throws where a folder cannot be made at `--out`, or would replace something, before any work is done for it. */
export async function checkOutFolder(folder: string): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (info && !info.isDirectory()) throw new Error(`--out ${folder}: is a file, expected a folder`);
  const found = info ? (await readdir(folder)).length : 0;
  if (found > 0) {
    throw new Error(
      `--out ${folder}: holds ${found} ${found === 1 ? "entry" : "entries"}, expected an empty folder or none`,
    );
  }
  const parent = dirname(resolve(folder));
  const parentInfo = await stat(parent).catch(() => undefined);
  if (!parentInfo?.isDirectory()) throw new Error(`--out ${folder}: there is no folder ${parent}`);
  const writable = await access(parent, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) throw new Error(`--out ${folder}: the folder ${parent} may not be written to`);
}
