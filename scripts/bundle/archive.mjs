import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { chmod, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { pack } from "tar-stream";
import { liblzma } from "./liblzma.mjs";

/** A file is handed to the compressor in pieces of so many bytes. */
const pieceSize = 2 ** 20;

/** Writes `entries` as files below `folder`, which must not exist and appears whole or not at all. */
export async function writeFolder(folder, entries) {
  const temporary = temporaryName(folder);
  try {
    for (const { path, data, mode } of entries) {
      const file = join(temporary, path);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, data);
      await chmod(file, mode);
    }
    await rename(temporary, folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/**
 * Writes `entries` as a .tar.xz of one folder `top`, which appears whole or not at all. Owners and times do not depend on who
 * builds when. `onEntry` is told by how much the file has grown: the compressor holds some back, so that tells by a MiB or two
 * what an entry takes. `check` sees the size before the file gets its name, and may throw. Returns the size.
 */
export async function writeArchive(file, top, entries, { modified, onEntry, check }) {
  const { createXz, filter, preset } = await liblzma();
  const temporary = temporaryName(file);
  let written = 0;
  const counter = new Transform({
    transform(chunk, _encoding, done) {
      written += chunk.length;
      done(null, chunk);
    },
  });
  const tar = pack();
  const feed = async () => {
    for (const entry of entries) {
      const before = written;
      await addFile(tar, `${top}/${entry.path}`, entry, modified);
      onEntry(entry, written - before);
    }
    tar.finalize();
  };
  try {
    await mkdir(dirname(file), { recursive: true });
    // Machine code compresses better with its jumps' targets made absolute, which is what the x86 filter does.
    const xz = createXz({ preset: 9 | preset.EXTREME, filters: [filter.X86, filter.LZMA2] });
    await Promise.all([feed(), pipeline(tar, xz, counter, createWriteStream(temporary))]);
    check(written);
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
  return written;
}

/** Resolves when the compressor has taken nearly all of the file. */
async function addFile(tar, name, { data, mode }, modified) {
  const sink = tar.entry({ name, mode, mtime: modified, size: data.length });
  const ended = once(sink, "finish");
  for (let at = 0; at < data.length; at += pieceSize) {
    if (!sink.write(data.subarray(at, at + pieceSize))) await once(sink, "drain");
  }
  sink.end();
  await ended;
}

function temporaryName(path) {
  return `${path}.tmp-${process.pid}`;
}
