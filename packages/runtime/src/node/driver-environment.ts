import { join } from "node:path";
import { type Environment, userCacheFolder } from "./cache-folder.ts";

/**
 * What drivers read from the environment and would otherwise complain about or do without: XDG_RUNTIME_DIR, whose
 * absence Mesa reports on every start, and MESA_SHADER_CACHE_DIR, which keeps its compiled kernels. What the user has
 * set stays.
 */
export function driverEnvironment(env: Environment, cacheFolder: string): Record<string, string> {
  return {
    ...(env.XDG_RUNTIME_DIR ? {} : { XDG_RUNTIME_DIR: cacheFolder }),
    ...(env.MESA_SHADER_CACHE_DIR ? {} : { MESA_SHADER_CACHE_DIR: join(cacheFolder, "mesa") }),
  };
}

/**
 * Sets `driverEnvironment` in this process. Node passes assignments on to setenv(3), so drivers that are loaded later
 * see them; this holds in the main thread only, since worker threads have a copy.
 */
export function prepareDriverEnvironment(): void {
  if (process.platform !== "linux") return;
  Object.assign(process.env, driverEnvironment(process.env, userCacheFolder()));
}

/** Runs `work`, which must do its native calls before it returns, with VK_DRIVER_FILES set to `files`. */
export function withDriverFiles<T>(files: string | undefined, work: () => T): T {
  if (files === undefined) return work();
  const before = process.env.VK_DRIVER_FILES;
  process.env.VK_DRIVER_FILES = files;
  try {
    return work();
  } finally {
    if (before === undefined) delete process.env.VK_DRIVER_FILES;
    else process.env.VK_DRIVER_FILES = before;
  }
}
