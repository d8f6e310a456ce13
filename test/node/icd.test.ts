import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findIcdFiles, icdSearch, parseIcd } from "../../packages/runtime/src/node/icd.ts";

describe("parseIcd", () => {
  const path = "/usr/share/vulkan/icd.d/x.json";
  test("a bare library name is the dynamic linker's business", () => {
    const text = JSON.stringify({ ICD: { library_path: "libGLX_nvidia.so.0", api_version: "1.3.277" } });
    expect(parseIcd(path, text)).toEqual({ path, library: "libGLX_nvidia.so.0", apiVersion: "1.3.277" });
  });
  test("a relative path is relative to the ICD file", () => {
    expect(parseIcd(path, '{"ICD": {"library_path": "./lib.so"}}').library).toBe(
      "/usr/share/vulkan/icd.d/lib.so",
    );
    expect(parseIcd(path, '{"ICD": {"library_path": "../lib.so"}}').library).toBe("/usr/share/vulkan/lib.so");
    expect(parseIcd(path, '{"ICD": {"library_path": "/opt/lib.so"}}').library).toBe("/opt/lib.so");
  });
  test.each([
    ["not JSON", "{"],
    ["no object", "3"],
    ["null", "null"],
    ["no ICD", "{}"],
    ["no library", '{"ICD": {"api_version": "1.3"}}'],
    ["a library that is no string", '{"ICD": {"library_path": 7}}'],
    ["an empty library", '{"ICD": {"library_path": ""}}'],
  ])("%s is a problem", (_, text) => {
    const icd = parseIcd(path, text);
    expect(icd.problem).toMatch(/not JSON|no ICD.library_path/);
    expect(icd.library).toBeUndefined();
  });
});

describe("icdSearch", () => {
  test("VK_DRIVER_FILES replaces the search, and goes before its old name", () => {
    const env = { VK_DRIVER_FILES: "/a.json:/b.json", VK_ICD_FILENAMES: "/c.json", HOME: "/home/x" };
    expect(icdSearch(env)).toEqual({ variable: "VK_DRIVER_FILES", places: ["/a.json", "/b.json"] });
    expect(icdSearch({ VK_ICD_FILENAMES: "/c.json" })).toEqual({
      variable: "VK_ICD_FILENAMES",
      places: ["/c.json"],
    });
  });
  test("XDG's folders and their defaults", () => {
    const places = icdSearch({
      HOME: "/home/x",
      XDG_DATA_DIRS: "/flatpak:/usr/share",
      VK_ADD_DRIVER_FILES: "/d.json",
    }).places;
    expect(places).toEqual([
      "/d.json",
      "/home/x/.config/vulkan/icd.d",
      "/etc/xdg/vulkan/icd.d",
      "/usr/local/etc/vulkan/icd.d",
      "/etc/vulkan/icd.d",
      "/home/x/.local/share/vulkan/icd.d",
      "/flatpak/vulkan/icd.d",
      "/usr/share/vulkan/icd.d",
    ]);
  });
});

describe("findIcdFiles", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "icd-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("reads folders in order and says what is wrong with each file", () => {
    const icds = join(folder, "vulkan", "icd.d");
    mkdirSync(icds, { recursive: true });
    writeFileSync(join(icds, "b.json"), '{"ICD": {"library_path": "./gone.so"}}');
    writeFileSync(join(icds, "a.json"), '{"ICD": {"library_path": "libx.so"}}');
    writeFileSync(join(icds, "readme.txt"), "not an ICD file");
    const mine = findIcdFiles({ XDG_DATA_HOME: folder }).filter((icd) => icd.path.startsWith(folder));
    expect(mine.map((icd) => icd.path)).toEqual([join(icds, "a.json"), join(icds, "b.json")]);
    expect(mine[0]?.problem).toBeUndefined();
    expect(mine[1]?.problem).toContain(join(icds, "gone.so"));
  });
  test("a file that is named but absent is reported, not skipped", () => {
    const path = join(folder, "none.json");
    expect(findIcdFiles({ VK_DRIVER_FILES: path })).toEqual([{ path, problem: "there is no such file" }]);
  });
});
