import { readFileSync } from "node:fs";
import { constants } from "node:os";

const loaderName = "libvulkan.so.1";
/** dlopen(3) on Linux; Node exports the other flags, not this one. */
const RTLD_NODELETE = 0x1000;

/** What came of looking for the system's Vulkan loader. */
export type LoaderSearch = { readonly path: string } | { readonly problem: string };

/**
 * Loads the system's Vulkan loader the way Dawn will, by its bare name, and says where the dynamic linker found it,
 * or in the linker's words why it did not.
 */
export function openSystemLoader(): LoaderSearch {
  return openLibrary(loaderName);
}

/**
 * Makes the loader at `path` the one of this process. The dynamic linker answers a later request for `libvulkan.so.1`
 * with a library that is loaded already under that name, so Dawn gets this one and no LD_LIBRARY_PATH, which would have
 * to be set before the process starts, is needed.
 */
export function useLoader(path: string): LoaderSearch {
  return openLibrary(path);
}

/**
 * Loads a shared library that is no Node addon. `process.dlopen` first loads it, then complains that no addon has
 * registered itself and closes it again; RTLD_NODELETE keeps it. So the complaint tells nothing, and whether the
 * library is there is read from the process' memory map.
 */
function openLibrary(nameOrPath: string): LoaderSearch {
  let complaint = "";
  try {
    process.dlopen({ exports: {} }, nameOrPath, constants.dlopen.RTLD_NOW | RTLD_NODELETE);
  } catch (error) {
    complaint = error instanceof Error ? error.message : String(error);
  }
  const path = mappedLibrary(readFileSync("/proc/self/maps", "utf8"), loaderName);
  return path ? { path } : { problem: complaint };
}

/** The path of a mapped library whose file name starts with `name`, in the format of proc(5) /proc/pid/maps. */
export function mappedLibrary(maps: string, name: string): string | undefined {
  for (const line of maps.split("\n")) {
    const path = /\s(\/.*)$/.exec(line)?.[1];
    if (path?.slice(path.lastIndexOf("/") + 1).startsWith(name)) return path;
  }
  return undefined;
}
