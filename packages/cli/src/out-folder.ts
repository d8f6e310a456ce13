import { access, constants, lstat, readdir, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/** Throws where a folder cannot be made at `--out`, or would replace something, before any work is done for it. */
export async function checkOutFolder(folder: string): Promise<void> {
  const info = await stat(folder).catch(() => undefined);
  if (!info && (await lstat(folder).catch(() => undefined))) {
    throw new Error(`--out ${folder}: is a link that leads nowhere, expected an empty folder or none`);
  }
  if (info && !info.isDirectory()) throw new Error(`--out ${folder}: is a file, expected a folder`);
  const found = info ? (await readdir(folder)).length : 0;
  if (found > 0) {
    throw new Error(
      `--out ${folder}: holds ${found} ${found === 1 ? "entry" : "entries"}, expected an empty folder or none`,
    );
  }
  // a folder that is there is filled, so that nothing need be made beside it
  const place = info ? resolve(folder) : dirname(resolve(folder));
  const placeInfo = await stat(place).catch(() => undefined);
  if (!placeInfo?.isDirectory()) throw new Error(`--out ${folder}: there is no folder ${place}`);
  const writable = await access(place, constants.W_OK).then(
    () => true,
    () => false,
  );
  if (!writable) throw new Error(`--out ${folder}: the folder ${place} may not be written to`);
}
