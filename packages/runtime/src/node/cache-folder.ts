import { accessSync, constants, mkdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { currentUser } from "./user.ts";

/** The environment variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The folder for files that can be made again (unpacked drivers, compiled shaders): `$XDG_CACHE_HOME/mask-llava`,
 * else `~/.cache/mask-llava`, else a private folder under the system's temporary one where the home cannot be written
 * to. Created with mode 0700. Native libraries are loaded from here, so a folder of another user is never taken.
 */
export function userCacheFolder(env: Environment = process.env): string {
  const refused: string[] = [];
  for (const folder of cacheFolderCandidates(env)) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
      accessSync(folder, constants.W_OK);
      if (!ownedByUs(folder)) throw new Error("it belongs to another user");
      return folder;
    } catch (error) {
      refused.push(`${folder} (${error instanceof Error ? error.message : String(error)})`);
    }
  }
  throw new Error(`no folder for caches can be written to; set XDG_CACHE_HOME. Tried: ${refused.join("; ")}`);
}

/** Where `userCacheFolder` looks, best first. */
export function cacheFolderCandidates(env: Environment, user = currentUser()): string[] {
  const candidates: string[] = [];
  if (env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME)) candidates.push(env.XDG_CACHE_HOME);
  const home = env.HOME ?? user.home;
  if (home !== undefined && isAbsolute(home)) candidates.push(join(home, ".cache"));
  return [...candidates.map((folder) => join(folder, "mask-llava")), join(tmpdir(), `mask-llava-${user.id}`)];
}

function ownedByUs(folder: string): boolean {
  if (!process.getuid) return true;
  return statSync(folder).uid === process.getuid();
}
