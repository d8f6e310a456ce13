import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { noise } from "../images/fixtures/noise.ts";
import { encodeJpeg, encodePng, writePng } from "./encode-image.ts";

describe("writePng", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "encode-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it.each([1, 3, 4])("writes %d channels without loss, and leaves nothing else behind", async (channels) => {
    const image = noise(17, 23, channels, channels);
    const path = join(folder, `${channels}.png`);
    await writePng(path, image);
    const { width, height, channels: stored } = await sharp(path).metadata();
    expect([height, width, stored]).toEqual([17, 23, channels]);
    const data = await sharp(path)
      .toColourspace(channels === 1 ? "b-w" : "srgb")
      .raw()
      .toBuffer();
    expect(Buffer.compare(data, image.data)).toBe(0);
    expect(readdirSync(folder).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("names the file that cannot be written", async () => {
    const path = join(folder, "absent", "x.png");
    await expect(writePng(path, noise(2, 2, 3, 1))).rejects.toMatchObject({
      name: "ImageError",
      code: "WRITE",
    });
    await expect(writePng(path, noise(2, 2, 3, 1))).rejects.toThrow(/absent.x\.png/);
  });

  it("refuses two channels", async () => {
    await expect(encodePng(noise(2, 2, 2, 1))).rejects.toThrow(/1, 3 or 4 channels, found 2/);
  });
});

describe("encodeJpeg", () => {
  it("writes the same bytes for the same pixels, and smaller ones for a lower quality", async () => {
    const image = noise(24, 40, 3, 1);
    const [fine, again, coarse] = await Promise.all(
      [95, 95, 40].map((quality) => encodeJpeg(image, { quality })),
    );
    expect(again).toEqual(fine);
    expect(coarse?.length).toBeLessThan(fine?.length ?? 0);
    const { format, width, height, chromaSubsampling } = await sharp(coarse).metadata();
    expect({ format, width, height, chromaSubsampling }).toEqual({
      ...{ format: "jpeg", width: 40, height: 24, chromaSubsampling: "4:2:0" },
    });
  });

  it("refuses grey", async () => {
    await expect(encodeJpeg(noise(2, 2, 1, 1), { quality: 90 })).rejects.toThrow(/3 channels, found 1/);
  });
});
