import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { type ByteSource, checkRange } from "../checkpoint/byte-source.ts";
import { CheckpointError } from "../checkpoint/errors.ts";
import { checkFileName, type Folder } from "../checkpoint/folder.ts";
import { encodeSafetensors, type HostTensorData } from "../checkpoint/write-safetensors.ts";

/** A file on disk, read with pread at any offset, several reads at a time. */
export class FileSource implements ByteSource {
  readonly name: string;
  readonly #handle: FileHandle;
  readonly #size: number;

  private constructor(name: string, handle: FileHandle, size: number) {
    this.name = name;
    this.#handle = handle;
    this.#size = size;
  }

  /** Undefined where there is no such file; a CheckpointError where it cannot be read. */
  static async open(file: string, name = file): Promise<FileSource | undefined> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(file, "r");
      const info = await handle.stat();
      if (!info.isFile()) throw new CheckpointError("is not a file", { file: name });
      return new FileSource(name, handle, info.size);
    } catch (cause) {
      await handle?.close();
      const { code } = cause as NodeJS.ErrnoException;
      if (code === "ENOENT" || code === "ENOTDIR") return undefined;
      throw readError(name, cause);
    }
  }

  size(): Promise<number> {
    return Promise.resolve(this.#size);
  }

  async read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array> {
    checkRange(this.name, offset, length, this.#size, into);
    const target = into ? into.subarray(0, length) : new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const { bytesRead } = await this.#handle
        .read(target, at, length - at, offset + at)
        .catch((cause) => Promise.reject(readError(this.name, cause)));
      if (bytesRead === 0) {
        throw new CheckpointError("the file became shorter while it was read", {
          file: this.name,
          found: `${offset + at} bytes`,
          expected: `${this.#size}`,
        });
      }
      at += bytesRead;
    }
    return target;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

function readError(name: string, cause: unknown): Error {
  if (cause instanceof CheckpointError) return cause;
  return new CheckpointError(`cannot be read: ${(cause as Error).message}`, { file: name }, { cause });
}

/** A checkpoint folder on disk. Names must stay within it; symbolic links in it are followed (hub caches use them). */
export class FileFolder implements Folder {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  /** Throws a CheckpointError where `folder` is not a readable directory. */
  static async open(folder: string): Promise<FileFolder> {
    try {
      if ((await stat(folder)).isDirectory()) return new FileFolder(folder);
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      const missing = code === "ENOENT" || code === "ENOTDIR";
      throw new CheckpointError(
        missing ? "there is no such folder" : `cannot be read: ${message}`,
        { file: folder },
        { cause },
      );
    }
    throw new CheckpointError("is not a folder", { file: folder });
  }

  open(name: string): Promise<FileSource | undefined> {
    checkFileName(name, this.name);
    return FileSource.open(path.join(this.name, name), name);
  }
}

/** Writes a safetensors file under a temporary name and renames it, so that no reader sees half of it. */
export async function saveSafetensors(
  file: string,
  tensors: Readonly<Record<string, HostTensorData>>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const pieces = encodeSafetensors(tensors, metadata);
  const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    const handle = await open(temporary, "wx");
    try {
      for (const piece of pieces) await handle.writeFile(piece);
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw new CheckpointError(`cannot be written: ${(cause as Error).message}`, { file }, { cause });
  }
}
