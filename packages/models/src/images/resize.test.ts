import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { noise } from "./fixtures/noise.ts";
import type { Size } from "./pixels.ts";
import type { Resample } from "./resample-filters.ts";
import { crop, resize } from "./resize.ts";

interface Case {
  from: [number, number, number];
  to: [number, number];
  seed: number;
  resample: Resample;
  box?: [number, number, number, number];
  pil: string;
  torchvision?: string;
}

const cases = JSON.parse(
  readFileSync(new URL("./fixtures/resize.json", import.meta.url), "utf8"),
) as readonly Case[];
const digest = (data: Uint8Array) => createHash("sha256").update(data).digest("hex").slice(0, 24);
const size = ([height, width]: readonly [number, number]): Size => ({ height, width });
const name = (c: Case) => `${c.from} -> ${c.to}, resample ${c.resample}${c.box ? ", box" : ""}`;

describe("resize", () => {
  it("equals Pillow in every bit, for all filters, up and down, with and without a box", () => {
    expect(cases.length).toBeGreaterThanOrEqual(200);
    const wrong = cases.filter(
      (c) => digest(resize(noise(...c.from, c.seed), size(c.to), c.resample, c).data) !== c.pil,
    );
    expect(wrong.map(name)).toEqual([]);
  });

  it("equals torchvision's uint8 resize in every bit", () => {
    const known = cases.filter((c) => c.torchvision);
    expect(known.length).toBeGreaterThan(50);
    const wrong = known.filter((c) => {
      const ours = resize(noise(...c.from, c.seed), size(c.to), c.resample, { backend: "torchvision" });
      return digest(ours.data) !== c.torchvision;
    });
    expect(wrong.map(name)).toEqual([]);
  });

  it.each(["pil", "torchvision"] as const)("a window is a crop of the whole result (%s)", (backend) => {
    for (const c of cases
      .filter(({ resample, box }) => !box && (backend === "pil" || resample > 0))
      .slice(0, 80)) {
      const [height, width] = c.to;
      const left = c.seed % width;
      const top = (c.seed * 7) % height;
      const window = {
        left,
        top,
        width: Math.ceil((width - left) / 2),
        height: Math.ceil((height - top) / 2),
      };
      const image = noise(...c.from, c.seed);
      const whole = resize(image, size(c.to), c.resample, { backend });
      const part = resize(image, size(c.to), c.resample, { backend, window });
      expect(digest(part.data), name(c)).toBe(digest(crop(whole, window).data));
    }
  });

  it("computes a window of a result that would not fit in memory", () => {
    // 20000x1 with its shorter edge to 336 is 6,720,000x336 = 2.26 G pixels; CLIP keeps 336x336 of them.
    const window = { left: 3_359_832, top: 0, width: 336, height: 336 };
    const result = resize(noise(1, 20_000, 3, 1), { height: 336, width: 6_720_000 }, 3, { window });
    expect([result.height, result.width]).toEqual([336, 336]);
  });

  it.each([
    ["a size of 0", { height: 0, width: 5 }, {}],
    ["a fractional size", { height: 1.5, width: 5 }, {}],
    ["a NaN size", { height: 5, width: Number.NaN }, {}],
    ["a box outside", { height: 5, width: 5 }, { box: [0, 0, 9, 3] }],
    ["an empty box", { height: 5, width: 5 }, { box: [2, 0, 2, 3] }],
    ["a NaN box", { height: 5, width: 5 }, { box: [Number.NaN, 0, 2, 3] }],
    ["a window outside", { height: 5, width: 5 }, { window: { left: 3, top: 0, width: 3, height: 1 } }],
    ["an empty window", { height: 5, width: 5 }, { window: { left: 0, top: 0, width: 0, height: 1 } }],
  ] as const)("refuses %s", (_, target, options) => {
    expect(() => resize(noise(4, 4, 3, 1), target, 2, options)).toThrowError(
      expect.objectContaining({ name: "ImageError", code: "BAD_SIZE" }),
    );
  });
});
