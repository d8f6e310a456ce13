import {
  ImageProcessor,
  OPENAI_CLIP_MEAN,
  OPENAI_CLIP_STD,
  type Pixels,
  pixels,
  Resample,
} from "@mask-llava/models";
import { describe, expect, test } from "vitest";
import { heatColour, inkOn, objectColour, type Rgb } from "./colours.ts";
import { drawInversions, drawObjects, drawTokenSheet } from "./index.ts";
import { labelledBoxes } from "./labels.ts";
import { drawSvg, fitText, textElement, textWidth, wrapText } from "./svg.ts";

function grey(width: number, height: number, value = 120): Pixels {
  return pixels(height, width, 3, new Uint8Array(width * height * 3).fill(value));
}

function pixelAt({ width, data }: Pixels, x: number, y: number): Rgb {
  return [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)] as unknown as Rgb;
}

function difference(a: Rgb, b: Rgb): number {
  return Math.max(...a.map((v, i) => Math.abs(v - (b[i] as number))));
}

/** Relative luminance as WCAG has it. */
function luminance(colour: Rgb): number {
  const [r, g, b] = colour.map((v) => {
    const s = v / 255;
    return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

const heading = { title: "t", lines: ["a line"] };

describe("colours", () => {
  test("the first objects have colours that are apart", () => {
    const colours = Array.from({ length: 10 }, (_, i) => objectColour(i));
    for (const [i, a] of colours.entries()) {
      for (const b of colours.slice(0, i)) expect(difference(a, b)).toBeGreaterThan(25);
    }
  });

  test("text on them has a contrast of at least 4.5 to 1", () => {
    for (let i = 0; i < 300; i++) {
      const colour = objectColour(i);
      const ink = inkOn(colour) === "#ffffff" ? 1 : luminance([16, 19, 26]);
      const [light, dark] = [luminance(colour), ink].sort((a, b) => b - a) as [number, number];
      expect((light + 0.05) / (dark + 0.05)).toBeGreaterThan(4.5);
    }
  });

  test("heat grows lighter with its value, and stays within its scale", () => {
    const light = Array.from({ length: 101 }, (_, i) => luminance(heatColour(i / 100)));
    for (let i = 1; i < light.length; i++) expect(light[i]).toBeGreaterThan(light[i - 1] as number);
    expect(heatColour(-1)).toEqual(heatColour(0));
    expect(heatColour(2)).toEqual(heatColour(1));
  });
});

describe("text", () => {
  test("is drawn without a font of the system", () => {
    const white = { size: 20, fill: "#fff" };
    const { data } = drawSvg({ width: 100, height: 30 }, [textElement("Hamburg", { x: 2, y: 22 }, white)]);
    expect(data.filter((v) => v > 200).length).toBeGreaterThan(200);
  });

  test("is measured as it is drawn", () => {
    const style = { size: 20, bold: true };
    const wide = textWidth("Hamburg", style);
    const { data, width } = drawSvg({ width: 200, height: 30 }, [
      textElement("Hamburg", { x: 0, y: 22 }, { ...style, fill: "#fff" }),
    ]);
    const columns = Array.from({ length: width }, (_, x) => x).filter((x) =>
      Array.from({ length: 30 }, (_, y) => data[(y * width + x) * 4 + 3] as number).some((v) => v > 0),
    );
    expect(Math.abs((columns.at(-1) ?? 0) + 1 - wide)).toBeLessThan(3);
    expect(textWidth("Hamburg", { ...style, size: 40 })).toBeCloseTo(2 * wide, 6);
  });

  test("cannot break the drawing", () => {
    const nasty = `<script>&"'\u0000\u001b[31m\ud800\ufffe</text>`;
    expect(() =>
      drawSvg({ width: 50, height: 20 }, [textElement(nasty, { x: 0, y: 10 }, { size: 10, fill: "#fff" })]),
    ).not.toThrow();
    expect(textWidth(nasty, { size: 10 })).toBeGreaterThan(0);
    expect(textWidth("", { size: 10 })).toBe(0);
  });

  test("is cut and wrapped to fit", () => {
    const style = { size: 15 };
    const long = "a very long name of a class that goes on and on";
    const cut = fitText(long, style, 120);
    expect(cut).toMatch(/^a very .*…$/);
    expect(textWidth(cut, style)).toBeLessThanOrEqual(120);
    const lines = wrapText(long.repeat(4), style, 150, 3);
    expect(lines).toHaveLength(3);
    for (const line of lines) expect(textWidth(line, style)).toBeLessThanOrEqual(150);
    expect(lines[2]).toMatch(/…$/);
    expect(wrapText("short", style, 150, 3)).toEqual(["short"]);
  });
});

describe("labels", () => {
  test("stay within the frame, and apart where there is room", () => {
    const frame = { left: 10, top: 20, width: 300, height: 200 };
    const box = (x: number, y: number) => [x, y, x + 60, y + 40] as const;
    const boxes = [box(0, 0), box(0, 0), box(250, 170), box(100, 90)].map((b, i) => ({
      box: b,
      text: `${i}`,
      colour: objectColour(i),
    }));
    const plates = labelledBoxes(boxes, frame, 16)
      .slice(boxes.length)
      .map((chip) => {
        const number = (name: string) => Number(new RegExp(` ${name}="([^"]+)"`).exec(chip)?.[1]);
        return { x: number("x"), y: number("y"), w: number("width"), h: number("height") };
      });
    for (const { x, y, w, h } of plates) {
      expect(x >= 10 && y >= 20 && x + w <= 310 && y + h <= 220).toBe(true);
    }
    for (const [i, a] of plates.entries()) {
      for (const b of plates.slice(0, i)) {
        const apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
        expect(apart).toBe(true);
      }
    }
  });
});

describe("the picture of objects", () => {
  test("tints what masks cover and nothing else", () => {
    const picture = grey(100, 80);
    const mask = Uint8Array.from({ length: 8000 }, (_, i) => (i % 100 >= 50 ? 1 : 0));
    const plain = drawObjects(picture, [], heading);
    const drawn = drawObjects(picture, [{ mask, name: "right half", score: 0.9 }], heading);
    const middle = 360;
    const left = Math.round(drawn.width * 0.3);
    expect(pixelAt(drawn, left, middle)).toEqual(pixelAt(plain, left, middle));
    const right = Math.round(drawn.width * 0.9);
    const expected = objectColour(0).map((v) => Math.round(120 + 0.42 * (v - 120))) as unknown as Rgb;
    expect(difference(pixelAt(drawn, right, middle), expected)).toBeLessThanOrEqual(1);
  });

  test("grows with a legend, and is the same every time", () => {
    const objects = Array.from({ length: 50 }, (_, i) => ({
      box: [i, i, i + 20, i + 15] as const,
      name: `thing ${i}`,
      score: 1 - i / 50,
    }));
    const none = drawObjects(grey(120, 90), [], heading);
    const many = drawObjects(grey(120, 90), objects, heading);
    expect(many.height).toBeGreaterThan(none.height);
    expect(Buffer.compare(drawObjects(grey(120, 90), objects, heading).data, many.data)).toBe(0);
  });
});

describe("pictures of every shape", () => {
  const processor = new ImageProcessor({
    family: "clip",
    size: { kind: "shortest", shortest: 32 },
    crop: { height: 32, width: 32 },
    resample: Resample.BICUBIC,
    normalization: { rescaleFactor: 1 / 255, mean: OPENAI_CLIP_MEAN, std: OPENAI_CLIP_STD },
  });

  test.each([
    [1, 1],
    [4000, 1],
    [1, 4000],
    [640, 480],
    [3, 700],
  ])("%i x %i", (width, height) => {
    const picture = grey(width, height);
    const inside = { width, height, data: new Uint8Array(width * height).fill(1) };
    const empty = { width, height, data: new Uint8Array(width * height) };
    const object = { kind: "object", score: 0.5, area: 1, mask: inside, map: empty, kept: true } as const;
    const { geometry } = processor.process(picture);
    const sheet = drawTokenSheet(
      {
        ...{ picture, geometry, cls: true, patches: [3, 2], fullGrid: [4, 4] },
        objects: [
          object,
          { ...object, mask: empty, kept: false },
          { ...object, kind: "background", map: undefined },
        ],
      },
      heading,
    );
    const boxes = drawObjects(
      picture,
      [
        { box: [0, 0, width, height], name: "all", score: 1 },
        { mask: empty.data, name: "empty", score: 0, points: [{ x: 0, y: 0, label: 0 }] },
      ],
      heading,
    );
    const maps = drawInversions(
      picture,
      [{ name: "m", mask: inside, firstMap: empty, map: inside, losses: [0.5, 0.25] }],
      heading,
    );
    for (const image of [sheet, boxes, maps]) {
      expect(image.width).toBeLessThanOrEqual(1300);
      expect(image.height).toBeLessThanOrEqual(1300);
      expect(image.data.length).toBe(image.width * image.height * 3);
    }
  });
});
