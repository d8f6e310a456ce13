import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { brotliDecompress } from "node:zlib";
import { extract } from "tar-stream";
import { AdapterError } from "../errors.ts";
import { userCacheFolder } from "./cache-folder.ts";

/** The embedded software adapter, unpacked: absolute paths. */
export interface SwiftShader {
  readonly folder: string;
  /** A Vulkan loader, for machines that have none. */
  readonly loader: string;
  /** The ICD file that makes a loader use the driver beside it. */
  readonly icd: string;
}

const driverName = "libvk_swiftshader.so";
const loaderName = "libvulkan.so.1";
const icdName = "vk_swiftshader_icd.json";
/** The archive also has SwiftShader's OpenGL ES libraries, which nothing here uses. */
const wanted: ReadonlySet<string> = new Set([driverName, loaderName, icdName]);

/** True where the npm registry's SwiftShader runs: its libraries are built for x86-64 Linux with glibc. */
export function swiftShaderSupported(
  platform: string = process.platform,
  arch: string = process.arch,
): boolean {
  return platform === "linux" && arch === "x64";
}

/** True where `provideSwiftShader` has something to unpack: an installation may leave the package out. */
export function swiftShaderInstalled(): boolean {
  return swiftShaderSupported() && findArchive() !== undefined;
}

/**
 * SwiftShader in the user's cache folder, unpacked from the npm package `@sparticuz/chromium` by the first process that
 * asks. Processes may ask at the same time: each unpacks into a folder of its own and renames it into place, and the
 * first one wins. Throws AdapterError where it cannot be provided.
 */
export async function provideSwiftShader(cacheFolder: string = userCacheFolder()): Promise<SwiftShader> {
  if (!swiftShaderSupported()) {
    throw new AdapterError(
      `the embedded software adapter (SwiftShader) is built for linux-x64, this is ${process.platform}-${process.arch}: install a Vulkan driver`,
    );
  }
  const source = locateArchive();
  const folder = join(cacheFolder, `swiftshader-${source.version}`);
  if (!complete(folder)) {
    try {
      await unpackInto(folder, await readFile(source.file));
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new AdapterError(`the embedded software adapter cannot be unpacked into ${folder}: ${reason}`, {
        cause: error,
      });
    }
  }
  return { folder, loader: join(folder, loaderName), icd: join(folder, icdName) };
}

function complete(folder: string): boolean {
  return [...wanted].every((name) => existsSync(join(folder, name)));
}

interface Archive {
  readonly file: string;
  /** Of the package that it is in. */
  readonly version: string;
}

function locateArchive(): Archive {
  const found = findArchive();
  if (found) return found;
  throw new AdapterError(
    "the embedded software adapter is not part of this installation: it lacks the npm package @sparticuz/chromium with bin/swiftshader.tar.br",
  );
}

function findArchive(): Archive | undefined {
  const require = createRequire(import.meta.url);
  let entry: string;
  try {
    entry = require.resolve("@sparticuz/chromium");
  } catch {
    return undefined;
  }
  // The package exports neither its package.json nor its archives, so they are found from its entry.
  const name = join("@sparticuz", "chromium");
  const root = entry.slice(0, entry.lastIndexOf(name) + name.length);
  const file = join(root, "bin", "swiftshader.tar.br");
  const manifest: unknown = require(join(root, "package.json"));
  const version =
    typeof manifest === "object" && manifest !== null && "version" in manifest && manifest.version;
  return typeof version === "string" && existsSync(file) ? { file, version } : undefined;
}

/** Unpacks a brotli-compressed tar of the driver into `folder`, which appears whole or not at all. */
export async function unpackInto(folder: string, archive: Uint8Array): Promise<void> {
  await mkdir(dirname(folder), { recursive: true });
  const temporary = await mkdtemp(`${folder}.tmp-`);
  try {
    for (const file of await readArchive(archive))
      await writeFile(join(temporary, file.name), file.data, { mode: 0o755 });
    if (!complete(temporary)) throw new Error(`the archive lacks one of ${[...wanted].join(", ")}`);
    await renameOver(temporary, folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** The wanted regular files of a brotli-compressed tar. */
async function readArchive(archive: Uint8Array): Promise<{ name: string; data: Buffer }[]> {
  const files: { name: string; data: Buffer }[] = [];
  const tar = extract();
  tar.end(await promisify(brotliDecompress)(archive));
  for await (const entry of tar) {
    const chunks: Buffer[] = [];
    for await (const chunk of entry) chunks.push(Buffer.from(chunk as Uint8Array));
    // Names are compared whole, so that no entry can leave the folder.
    const name = entry.header.name.replace(/^\.\//, "");
    if (entry.header.type === "file" && wanted.has(name)) files.push({ name, data: Buffer.concat(chunks) });
  }
  return files;
}

async function renameOver(temporary: string, folder: string): Promise<void> {
  try {
    await rename(temporary, folder);
  } catch (error) {
    if (complete(folder)) return; // Another process was first.
    if (!existsSync(folder)) throw error;
    await rm(folder, { recursive: true, force: true }); // What is there is damaged.
    await rename(temporary, folder);
  }
}
