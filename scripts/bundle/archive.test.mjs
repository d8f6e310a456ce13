import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { extract } from "tar-stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeArchive, writeFolder } from "./archive.mjs";
import { liblzma } from "./liblzma.mjs";

const lzma = await liblzma().catch(() => undefined);

let folder;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "archive-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

// Larger than a piece, and of no whole number of tar's blocks.
const large = Buffer.from(Uint8Array.from({ length: 2 ** 20 + 77 }, (_, i) => i ^ (i >> 10)));
const entries = [
  { path: "bin/run", part: "programs", mode: 0o755, data: Buffer.from("#!/bin/sh\n") },
  { path: "data/large", part: "data", mode: 0o644, data: large },
  { path: "data/empty", part: "data", mode: 0o644, data: Buffer.alloc(0) },
];
const modified = new Date("2026-01-02T03:04:05Z");

test.skipIf(!lzma)("an archive holds names, modes, one time, and the bytes", async () => {
  const file = join(folder, "new", "a.tar.xz");
  const grown = [];
  let seen;
  const options = {
    modified,
    onEntry: ({ part }, bytes) => grown.push([part, bytes]),
    check: (bytes) => {
      seen = bytes;
    },
  };
  const size = await writeArchive(file, "top", entries, options);
  expect(readdirSync(join(folder, "new"))).toEqual(["a.tar.xz"]);
  const packed = readFileSync(file);
  expect([size, seen]).toEqual([packed.length, packed.length]);
  expect(grown.map(([part]) => part)).toEqual(["programs", "data", "data"]);
  expect(grown.reduce((sum, [, bytes]) => sum + bytes, 0)).toBeLessThanOrEqual(size);

  const tar = extract();
  tar.end(await lzma.unxzAsync(packed));
  const found = [];
  for await (const entry of tar) {
    const chunks = [];
    for await (const chunk of entry) chunks.push(chunk);
    const { name, mode, mtime, uid, gid } = entry.header;
    found.push({ name, mode, mtime, uid, gid, same: Buffer.concat(chunks) });
  }
  expect(found.map(({ same, ...header }) => header)).toEqual(
    entries.map(({ path, mode }) => ({ name: `top/${path}`, mode, mtime: modified, uid: 0, gid: 0 })),
  );
  for (const [i, { data }] of entries.entries()) expect(found[i].same.equals(data)).toBe(true);
});

test.skipIf(!lzma)("one that is refused is not there", async () => {
  const check = () => {
    throw new Error("too large");
  };
  const file = join(folder, "a.tar.xz");
  await expect(writeArchive(file, "top", entries, { modified, onEntry() {}, check })).rejects.toThrow(
    "too large",
  );
  expect(readdirSync(folder)).toEqual([]);
});

test("a folder appears whole, or not at all", async () => {
  await writeFolder(join(folder, "a"), entries);
  expect(readFileSync(join(folder, "a", "data", "large")).equals(large)).toBe(true);
  const clash = [...entries, { path: "bin/run/below-a-file", part: "x", mode: 0o644, data: large }];
  await expect(writeFolder(join(folder, "b"), clash)).rejects.toThrow("EEXIST");
  expect(readdirSync(folder)).toEqual(["a"]);
});
