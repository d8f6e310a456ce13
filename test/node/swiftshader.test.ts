import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { pack } from "tar-stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  provideSwiftShader,
  swiftShaderSupported,
  unpackInto,
} from "../../packages/runtime/src/node/swiftshader.ts";

let cache: string;
beforeEach(() => {
  cache = mkdtempSync(join(tmpdir(), "swiftshader-"));
});
afterEach(() => rmSync(cache, { recursive: true }));

test("swiftShaderSupported", () => {
  expect(swiftShaderSupported("linux", "x64")).toBe(true);
  expect(swiftShaderSupported("linux", "arm64")).toBe(false);
  expect(swiftShaderSupported("darwin", "x64")).toBe(false);
});

describe.skipIf(!swiftShaderSupported())("provideSwiftShader", () => {
  test("unpacks driver, loader and ICD file, and unpacks them once", async () => {
    const { folder, loader, icd } = await provideSwiftShader(cache);
    expect(readdirSync(cache)).toHaveLength(1); // No temporary folder stays.
    expect(statSync(loader).size).toBeGreaterThan(100_000);
    const { ICD } = JSON.parse(readFileSync(icd, "utf8")) as { ICD: { library_path: string } };
    expect(existsSync(join(folder, ICD.library_path))).toBe(true);
    const first = statSync(loader).ino;
    await provideSwiftShader(cache);
    expect(statSync(loader).ino).toBe(first);
  });
  test("many at once leave one whole folder", async () => {
    const all = await Promise.all(Array.from({ length: 6 }, () => provideSwiftShader(cache)));
    expect(new Set(all.map(({ folder }) => folder)).size).toBe(1);
    expect(readdirSync(cache)).toHaveLength(1);
    expect(all.every(({ loader, icd }) => existsSync(loader) && existsSync(icd))).toBe(true);
  });
  test("a damaged folder is replaced", async () => {
    const { icd } = await provideSwiftShader(cache);
    rmSync(icd);
    expect(existsSync((await provideSwiftShader(cache)).icd)).toBe(true);
  });
  test("a folder that cannot be written to is an AdapterError that names it", async () => {
    const file = join(cache, "file");
    writeFileSync(file, "");
    await expect(provideSwiftShader(file)).rejects.toMatchObject({
      code: "ADAPTER",
      message: expect.stringContaining(file),
    });
  });
});

async function archive(entries: Record<string, string>): Promise<Uint8Array> {
  const tar = pack();
  for (const [name, text] of Object.entries(entries)) tar.entry({ name }, text);
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(Buffer.from(chunk as Uint8Array));
  return brotliCompressSync(Buffer.concat(chunks));
}

describe("unpackInto", () => {
  const whole = {
    "libvk_swiftshader.so": "driver",
    "libvulkan.so.1": "loader",
    "vk_swiftshader_icd.json": "{}",
  };
  test("takes the wanted files only, and none outside of the folder", async () => {
    const folder = join(cache, "a", "x");
    await unpackInto(
      folder,
      await archive({ ...whole, "../evil": "!", "libEGL.so": "x", "sub/libvulkan.so.1": "x" }),
    );
    expect(readdirSync(folder).sort()).toEqual(Object.keys(whole).sort());
    expect(readdirSync(join(cache, "a"))).toEqual(["x"]);
    expect(readFileSync(join(folder, "libvulkan.so.1"), "utf8")).toBe("loader");
  });
  test("an archive that lacks a file leaves nothing behind", async () => {
    await expect(unpackInto(join(cache, "x"), await archive({ "libvulkan.so.1": "loader" }))).rejects.toThrow(
      /lacks/,
    );
    expect(readdirSync(cache)).toEqual([]);
  });
  test("neither does one that is cut off or not brotli", async () => {
    const bytes = await archive(whole);
    await expect(unpackInto(join(cache, "x"), bytes.subarray(0, bytes.length - 5))).rejects.toThrow();
    await expect(unpackInto(join(cache, "x"), Buffer.from("text"))).rejects.toThrow();
    expect(readdirSync(cache)).toEqual([]);
  });
});
