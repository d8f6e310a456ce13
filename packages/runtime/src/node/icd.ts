import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { delimiter, dirname, isAbsolute, join, resolve } from "node:path";
import type { Environment } from "./cache-folder.ts";

/** A Vulkan driver as its ICD file ("installable client driver") declares it. */
export interface IcdFile {
  readonly path: string;
  /** As the loader would open it: an absolute path, or a bare name that the dynamic linker searches for. */
  readonly library?: string;
  readonly apiVersion?: string;
  /** Why the loader cannot use it. */
  readonly problem?: string;
}

/** Where a Vulkan loader looks for ICD files on Linux: files given outright, and folders. */
export interface IcdSearch {
  /** The variable that replaces the search, where one is set. */
  readonly variable?: string;
  /** Files and folders, in order. */
  readonly places: readonly string[];
}

/**
 * The search of the Khronos loader (LoaderDriverInterface.md, "Driver Discovery on Linux"): VK_DRIVER_FILES, or its old
 * name VK_ICD_FILENAMES, replaces everything; VK_ADD_DRIVER_FILES comes before the XDG folders.
 */
export function icdSearch(env: Environment): IcdSearch {
  for (const variable of ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]) {
    const value = env[variable];
    if (value) return { variable, places: split(value) };
  }
  const home = env.HOME;
  const folders = [
    env.XDG_CONFIG_HOME || (home && join(home, ".config")),
    ...split(env.XDG_CONFIG_DIRS || "/etc/xdg"),
    "/usr/local/etc",
    "/etc",
    env.XDG_DATA_HOME || (home && join(home, ".local", "share")),
    ...split(env.XDG_DATA_DIRS || "/usr/local/share:/usr/share"),
  ];
  const unique = new Set(folders.filter((folder) => folder !== undefined && folder !== ""));
  return {
    places: [
      ...split(env.VK_ADD_DRIVER_FILES ?? ""),
      ...[...unique].map((folder) => join(String(folder), "vulkan", "icd.d")),
    ],
  };
}

function split(value: string): string[] {
  return value.split(delimiter).filter((part) => part !== "");
}

/** Every ICD file that a loader with this environment would read, in its order. */
export function findIcdFiles(env: Environment = process.env): IcdFile[] {
  const files: IcdFile[] = [];
  for (const place of icdSearch(env).places) {
    if (!existsSync(place)) {
      if (place.endsWith(".json")) files.push({ path: place, problem: "there is no such file" });
      continue;
    }
    if (!statSync(place).isDirectory()) files.push(readIcd(place));
    else
      for (const name of readdirSync(place).sort())
        if (name.endsWith(".json")) files.push(readIcd(join(place, name)));
  }
  return files;
}

function readIcd(path: string): IcdFile {
  try {
    return checkLibrary(parseIcd(path, readFileSync(path, "utf8")));
  } catch (error) {
    return { path, problem: `it cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** Parses the text of the ICD file at `path`; what is wrong with it becomes `problem`. */
export function parseIcd(path: string, text: string): IcdFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { path, problem: "it is not JSON" };
  }
  const icd = member(json, "ICD");
  const library = member(icd, "library_path");
  const apiVersion = member(icd, "api_version");
  if (typeof library !== "string" || library === "") return { path, problem: "it has no ICD.library_path" };
  return {
    path,
    // A name without a slash is left to the dynamic linker; a relative path is relative to the ICD file.
    library: library.includes("/") && !isAbsolute(library) ? resolve(dirname(path), library) : library,
    ...(typeof apiVersion === "string" ? { apiVersion } : {}),
  };
}

function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function checkLibrary(icd: IcdFile): IcdFile {
  if (!icd.library || !isAbsolute(icd.library) || existsSync(icd.library)) return icd;
  return { ...icd, problem: `its driver ${icd.library} does not exist` };
}
