import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { decodeGrey, decodeImage, readMask } from "./decode-image.ts";
import { encodePng } from "./encode-image.ts";

const folder = fileURLToPath(new URL("../images/fixtures/", import.meta.url));
const cases = JSON.parse(readFileSync(join(folder, "decode.json"), "utf8")) as {
  file: string;
  size: [number, number];
  rgb: string;
  grey: string;
}[];
const digest = (data: Uint8Array) => createHash("sha256").update(data).digest("hex").slice(0, 24);
const file = (name: string) => new Uint8Array(readFileSync(join(folder, "decode", name)));

describe("decodeImage", () => {
  it.each(cases)("equals Pillow in every bit: $file", async (c) => {
    const path = join(folder, "decode", c.file);
    const image = await decodeImage(path);
    expect([image.height, image.width, image.channels]).toEqual([...c.size, 3]);
    expect(digest(image.data)).toBe(c.rgb);
    expect(digest((await decodeGrey(path)).data)).toBe(c.grey);
    expect(digest((await decodeImage(file(c.file))).data)).toBe(c.rgb);
  });

  it("reads a mask at its own size as values of 0 to 1", async () => {
    const data = new Uint8Array([0, 255, 51, 255, 0, 102]);
    const mask = await readMask(await encodePng({ height: 2, width: 3, channels: 1, data }));
    expect([mask.height, mask.width]).toEqual([2, 3]);
    expect([...mask.data]).toEqual([...data].map((v) => Math.fround(v / 255)));
  });

  it("sees a file that changed under the same name", async () => {
    const temporary = mkdtempSync(join(tmpdir(), "decode-"));
    const path = join(temporary, "picture.png");
    for (const name of ["rgb.png", "grey.png"]) {
      writeFileSync(path, file(name));
      const expected = cases.find((c) => c.file === name)!.rgb;
      expect(digest((await decodeImage(path)).data)).toBe(expected);
    }
    rmSync(temporary, { recursive: true });
  });
});

describe("decodeImage refuses", () => {
  const half = (name: string, part = 0.5) => file(name).slice(0, Math.floor(file(name).length * part));
  const flipped = (name: string) => {
    const bytes = file(name);
    bytes[bytes.length >> 1]! ^= 0x55;
    return bytes;
  };
  const huge = (width: number, height: number) => {
    // The header of a PNG that claims to be this large; its checksum is not looked at before the size is.
    const bytes = file("rgb.png");
    const view = new DataView(bytes.buffer);
    view.setUint32(16, width);
    view.setUint32(20, height);
    view.setUint32(29, crc32(bytes.subarray(12, 29)));
    return bytes;
  };
  const bigGif = () => {
    const bytes = file("palette.gif");
    new DataView(bytes.buffer).setUint32(6, 0xffffffff);
    return bytes;
  };
  it.each([
    ["an empty file", () => new Uint8Array(), "EMPTY", /empty/],
    ["text", () => Buffer.from("hello world, not a picture"), "NOT_AN_IMAGE", /"hello world,"/],
    [
      "SVG",
      () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
      "NOT_AN_IMAGE",
      /expected JPEG, PNG/,
    ],
    ["one byte", () => new Uint8Array([0xff]), "NOT_AN_IMAGE", /the bytes ff/],
    ["half a JPEG", () => half("subsampling-2.jpg"), "TRUNCATED", /JPEG/],
    ["nearly a JPEG", () => half("subsampling-0.jpg", 0.99), "TRUNCATED", /JPEG/],
    ["half a progressive JPEG", () => half("progressive.jpg"), "TRUNCATED", /JPEG/],
    ["half a PNG", () => half("rgb.png"), "TRUNCATED", /PNG/],
    ["a damaged PNG", () => flipped("rgb.png"), "CORRUPT", /PNG/],
    ["half a WebP", () => half("lossy.webp"), "TRUNCATED", /WebP/],
    ["half a GIF", () => half("palette.gif"), "TRUNCATED", /GIF/],
    ["a GIF's header", () => file("palette.gif").slice(0, 10), "TRUNCATED", /GIF/],
    ["a GIF without frames", () => Buffer.from("GIF89a\x05\0\x05\0\0\0\0;", "latin1"), "CORRUPT", /no frame/],
    ["half a TIFF", () => half("rgb.tif"), "TRUNCATED", /TIFF/],
    ["nearly a TIFF", () => half("cmyk.tif", 0.99), "TRUNCATED", /TIFF/],
    ["half an uncompressed TIFF", () => half("float.tif"), "TRUNCATED", /TIFF/],
    ["a decompression bomb", () => huge(50_000, 50_000), "TOO_LARGE", /2500000000 pixels, expected at most/],
    ["a GIF bomb", bigGif, "TOO_LARGE", /65535x65535/],
  ])("%s", async (_, bytes, code, message) => {
    const decoding = decodeImage(bytes(), { name: "given.bin" });
    await expect(decoding).rejects.toThrow(message);
    await expect(decoding).rejects.toMatchObject({ name: "ImageError", code });
    await expect(decoding).rejects.toThrow(/given\.bin/);
  });

  it("more pixels than asked for", async () => {
    await expect(decodeImage(file("rgb.png"), { maxPixels: 26 * 19 - 1 })).rejects.toMatchObject({
      code: "TOO_LARGE",
    });
    await expect(decodeImage(file("rgb.png"), { maxPixels: 26 * 19 })).resolves.toMatchObject({ width: 26 });
  });

  let temporary: string;
  beforeAll(() => {
    temporary = mkdtempSync(join(tmpdir(), "decode-"));
  });
  afterAll(() => rmSync(temporary, { recursive: true }));
  it("a file that is not there, and a folder", async () => {
    const absent = decodeImage(join(temporary, "absent.png"));
    await expect(absent).rejects.toMatchObject({ name: "ImageError", code: "NOT_FOUND" });
    await expect(absent).rejects.toThrow(/absent\.png: no such file/);
    await expect(decodeImage(temporary)).rejects.toThrow(/a folder, expected a picture file/);
  });
});

/** The checksum of PNG chunks. */
function crc32(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
