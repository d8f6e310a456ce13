import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { writeFolder } from "./write-folder.ts";

// only renaming can fail after all checks, and no file system does so on demand
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  return { ...real, rename: vi.fn(real.rename) };
});

const cwd = process.cwd();
let place: string;
beforeEach(() => {
  place = mkdtempSync(join(tmpdir(), "mask-llava-write-folder-"));
});
afterEach(() => {
  process.chdir(cwd);
  rmSync(place, { recursive: true, force: true });
});

const filesBelow = () => readdirSync(place, { recursive: true, encoding: "utf8" }).toSorted();

/** Writes a file and a folder with a file. */
async function fill(at: string): Promise<string> {
  writeFileSync(join(at, "a.txt"), "a");
  mkdirSync(join(at, "sub"));
  writeFileSync(join(at, "sub", "b.txt"), "b");
  return "filled";
}
const filled = ["out", "out/a.txt", "out/sub", "out/sub/b.txt"];

describe("writeFolder", () => {
  test("makes a folder that was not there", async () => {
    expect(await writeFolder(join(place, "out"), fill)).toBe("filled");
    expect(filesBelow()).toEqual(filled);
  });

  test("fills an empty folder, and that is the same one afterwards", async () => {
    mkdirSync(join(place, "out"));
    process.chdir(join(place, "out"));
    expect(await writeFolder(join(place, "out"), fill)).toBe("filled");
    expect(filesBelow()).toEqual(filled);
    expect(readdirSync(".").toSorted()).toEqual(["a.txt", "sub"]);
  });

  test("fills the folder that this process is in", async () => {
    mkdirSync(join(place, "out"));
    process.chdir(join(place, "out"));
    expect(await writeFolder(".", fill)).toBe("filled");
    expect(filesBelow()).toEqual(filled);
  });

  test("fills the folder that a link leads to", async () => {
    mkdirSync(join(place, "out"));
    symlinkSync("out", join(place, "link"));
    expect(await writeFolder(join(place, "link"), fill)).toBe("filled");
    expect(lstatSync(join(place, "link")).isSymbolicLink()).toBe(true);
    rmSync(join(place, "link"));
    expect(filesBelow()).toEqual(filled);
  });

  test.each([
    ["absent", []],
    ["empty", ["out"]],
  ])("leaves a folder %s when filling fails", async (_, before) => {
    for (const folder of before) mkdirSync(join(place, folder));
    const work = writeFolder(join(place, "out"), async (at) => {
      await fill(at);
      throw new Error("no more");
    });
    await expect(work).rejects.toThrow("no more");
    expect(filesBelow()).toEqual(before);
  });

  test("leaves a folder empty when moving up fails", async () => {
    mkdirSync(join(place, "out"));
    const real = await vi.importActual<typeof import("node:fs/promises")>("node:fs/promises");
    vi.mocked(rename)
      .mockImplementationOnce(real.rename)
      .mockRejectedValueOnce(new Error("the disk is gone"));
    await expect(writeFolder(join(place, "out"), fill)).rejects.toThrow("the disk is gone");
    expect(filesBelow()).toEqual(["out"]);
  });

  test("refuses a folder that is not empty before it is filled", async () => {
    mkdirSync(join(place, "out", "old"), { recursive: true });
    const work = writeFolder(join(place, "out"), () => Promise.reject(new Error("was begun")));
    await expect(work).rejects.toMatchObject({ code: "ENOTEMPTY", path: join(place, "out") });
  });

  test("replaces nothing that came meanwhile", async () => {
    mkdirSync(join(place, "out"));
    const work = writeFolder(join(place, "out"), async (at) => {
      await fill(at);
      writeFileSync(join(place, "out", "a.txt"), "somebody else's");
    });
    await expect(work).rejects.toThrow(/found a\.txt in .*out, expected an empty folder/);
    expect(filesBelow()).toEqual(["out", "out/a.txt"]);
    expect(readFileSync(join(place, "out", "a.txt"), "utf8")).toBe("somebody else's");
  });
});
