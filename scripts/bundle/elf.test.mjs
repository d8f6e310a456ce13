import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Elf, newestMinor } from "./elf.mjs";
import { BundleError } from "./errors.mjs";

/** An ELF file with one segment that ends at `end`, and `length` bytes in all. */
function elf(end, length) {
  const bytes = Buffer.alloc(length, 7);
  bytes.write("7f454c460201", "hex");
  bytes.writeUInt16LE(62, 18);
  bytes.writeBigUInt64LE(64n, 32); // the segments' headers: place, size, number
  bytes.writeUInt16LE(56, 54);
  bytes.writeUInt16LE(1, 56);
  bytes.writeBigUInt64LE(16n, 64 + 8); // the segment's place and size
  bytes.writeBigUInt64LE(BigInt(end - 16), 64 + 32);
  return bytes;
}

test("what follows the last segment goes, and the header says so", () => {
  const kept = new Elf(elf(200, 300), "x").withoutSections();
  expect(kept.length).toBe(200);
  expect(kept.readBigUInt64LE(40)).toBe(0n);
  expect([kept.readUInt16LE(60), kept.readUInt16LE(62)]).toEqual([0, 0]);
  expect(kept.subarray(120)).toEqual(Buffer.alloc(80, 7));
  expect(new Elf(elf(30, 300), "x").withoutSections().length).toBe(120); // its own headers are kept
});

test("what is no native file of the platform is named", () => {
  const arm = elf(200, 300);
  arm.writeUInt16LE(183, 18);
  for (const bytes of [arm, Buffer.from("MZ"), Buffer.alloc(0)]) {
    expect(() => new Elf(bytes, "lib/odd.node")).toThrow(BundleError);
    expect(() => new Elf(bytes, "lib/odd.node")).toThrow("lib/odd.node");
  }
});

test("the newest minor of a set is the largest number, not the last in the alphabet", () => {
  const versions = ["GLIBC_2.9", "GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_3.99", "GLIBCXX_3.4", "GLIBCXX_3.4.30"];
  expect(newestMinor(versions, "GLIBC_2")).toBe(34);
  expect(newestMinor(versions, "GLIBCXX_3.4")).toBe(30);
  expect(newestMinor(versions, "CXXABI_1.3")).toBe(0);
});

const require = createRequire(import.meta.url);
describe.skipIf(process.platform !== "linux" || process.arch !== "x64")("Dawn", () => {
  const addon = join(require.resolve("webgpu"), "..", "dist", "linux-x64", "dawn.node");
  const dawn = () => new Elf(readFileSync(addon), addon);
  const wait = "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE";
  const [newer, older] = ["GLIBCXX_3.4.30", "GLIBCXX_3.4.11"];

  function load(bytes) {
    const folder = mkdtempSync(join(tmpdir(), "elf-"));
    try {
      const file = join(folder, "dawn.node");
      writeFileSync(file, bytes);
      return require(file);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test("is loaded without its sections, and needing an older version of a symbol", () => {
    const changed = new Elf(dawn().withOlderSymbol(wait, newer, older), addon);
    expect(dawn().neededVersions()).toContain(newer);
    expect(changed.neededVersions()).toEqual(
      dawn()
        .neededVersions()
        .map((each) => (each === newer ? older : each)),
    );
    const bytes = changed.withoutSections();
    expect(bytes.length).toBeLessThan(readFileSync(addon).length);
    expect(Object.keys(load(bytes))).toContain("create");
  });

  test("stays as it is where another symbol is of that version, or a version is not needed", () => {
    const bytes = readFileSync(addon);
    for (const [symbol, from, to] of [
      ["_ZNSt18condition_variable9", newer, older],
      [wait, "GLIBCXX_3.4.99", older],
      [wait, newer, "GLIBCXX_3.4.99"],
    ]) {
      expect(bytes.equals(dawn().withOlderSymbol(symbol, from, to))).toBe(true);
    }
  });
});
