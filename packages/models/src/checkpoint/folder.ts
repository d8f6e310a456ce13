import { type ByteSource, type Fetch, HttpSource, MemorySource } from "./byte-source.ts";
import { CheckpointError, ConfigError } from "./errors.ts";
import type { StoredTensor } from "./stored-tensor.ts";
import { parseStrictJson } from "./strict-json.ts";

/** Tensors by the names that renaming tables start from, the files' metadata, and the open files. */
export interface TensorFiles {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly sources: readonly ByteSource[];
}

/** A checkpoint's files, by name relative to its folder, with `/` between components. */
export interface Folder {
  /** Path or URL for messages. */
  readonly name: string;
  /** The file, or undefined where there is none. Throws for a name that leads out of the folder. */
  open(name: string): Promise<ByteSource | undefined>;
  /** The weights, where they are in no safetensors files: what `TensorIndex` then takes. The caller closes the sources. */
  tensors?(): Promise<TensorFiles>;
}

/**
 * Throws a CheckpointError unless `name` stays within its folder: relative, no `.` or `..` component, no backslash, no scheme.
 * `inFile` is the file that gave the name.
 */
export function checkFileName(name: string, inFile: string): void {
  const bad =
    name === "" ||
    name.includes("\\") ||
    name.includes("\0") ||
    /^[A-Za-z][A-Za-z0-9+.-]*:/.test(name) ||
    name.split("/").some((part) => part === "" || part === "." || part === "..");
  if (bad) {
    throw new CheckpointError("a file name must stay within the checkpoint folder", {
      file: inFile,
      found: JSON.stringify(name),
      expected: "a relative name without '..'",
    });
  }
}

/** Files in memory. */
export class MemoryFolder implements Folder {
  readonly name: string;
  readonly #files: ReadonlyMap<string, Uint8Array>;

  constructor(
    files: ReadonlyMap<string, Uint8Array> | Readonly<Record<string, Uint8Array>>,
    name = "memory",
  ) {
    this.name = name;
    this.#files = files instanceof Map ? files : new Map(Object.entries(files));
  }

  async open(name: string): Promise<ByteSource | undefined> {
    checkFileName(name, this.name);
    const bytes = this.#files.get(name);
    return bytes && new MemorySource(name, bytes);
  }
}

/** Files below a base URL. A 404 means that a file is absent; other failures are errors. */
export class HttpFolder implements Folder {
  readonly name: string;
  readonly #base: URL;
  readonly #fetch: Fetch;
  readonly #signal: AbortSignal | undefined;

  constructor(base: string | URL, options: { fetch?: Fetch; signal?: AbortSignal } = {}) {
    this.#base = new URL(base);
    if (!this.#base.pathname.endsWith("/")) this.#base.pathname += "/";
    this.name = this.#base.href;
    this.#fetch = options.fetch ?? fetch;
    this.#signal = options.signal;
  }

  async open(name: string): Promise<ByteSource | undefined> {
    checkFileName(name, this.name);
    const path = name.split("/").map(encodeURIComponent).join("/");
    const url = new URL(path, this.#base);
    url.search = this.#base.search; // signed URLs carry their token there
    return HttpSource.open(name, url.href, this.#fetch, this.#signal);
  }
}

/** Configuration files have kilobytes and tokenizers a few megabytes; more is not what it claims to be. */
const maxTextBytes = 256 * 1024 * 1024;

/** A whole text file, or undefined where there is none. */
export async function readText(folder: Folder, name: string): Promise<string | undefined> {
  const source = await folder.open(name);
  if (!source) return undefined;
  try {
    const size = await source.size();
    if (size > maxTextBytes)
      throw new ConfigError(name, "", `has ${size} bytes, which is too many for a text file`);
    const bytes = await source.read(0, size);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    if (cause instanceof TypeError) throw new ConfigError(name, "", "is not valid UTF-8", {}, { cause });
    throw cause;
  } finally {
    await source.close?.();
  }
}

/** A parsed JSON file (names unique in every object), or undefined where there is none. */
export async function readJson(folder: Folder, name: string): Promise<unknown> {
  const text = await readText(folder, name);
  if (text === undefined) return undefined;
  try {
    return parseStrictJson(text);
  } catch (cause) {
    throw new ConfigError(name, "", `is not valid JSON: ${(cause as Error).message}`, {}, { cause });
  }
}

/** A JSON file that must exist. */
export async function requireJson(folder: Folder, name: string): Promise<unknown> {
  const value = await readJson(folder, name);
  if (value === undefined) throw new ConfigError(name, "", `is missing from ${folder.name}`);
  return value;
}
