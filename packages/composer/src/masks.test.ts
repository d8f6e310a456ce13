import { Random } from "@mask-llava/runtime";
import { describe, expect, test } from "vitest";
import {
  backgroundMask,
  boxMask,
  coverage,
  distinctFilter,
  distinctMasks,
  type Mask,
  maskArea,
  maskIou,
  patchCoverage,
} from "./masks.ts";
import { poolingMatrix } from "./pool.ts";

const size = { width: 13, height: 7 };

function randomMask(r: Random, density = 0.5): Mask {
  return { ...size, data: Uint8Array.from({ length: 91 }, () => (r.uniform() < density ? 1 : 0)) };
}

describe("masks", () => {
  test("a box covers the pixels whose centres it holds", () => {
    expect(maskArea(boxMask([0, 0, 13, 7], size))).toBe(91);
    expect(maskArea(boxMask([2, 1, 5, 3], size))).toBe(6);
    expect(maskArea(boxMask([2.6, 1, 5.4, 3], size))).toBe(4);
    expect(maskArea(boxMask([5, 3, 2, 1], size))).toBe(0);
  });

  test("the background is the complement of the union", () => {
    const r = new Random(1);
    for (let n = 0; n < 50; n++) {
      const masks = Array.from({ length: r.integer(0, 4) }, () => randomMask(r));
      const background = backgroundMask(masks, size);
      for (let i = 0; i < 91; i++) expect(background.data[i]).toBe(masks.some((m) => m.data[i]) ? 0 : 1);
    }
  });

  test("vanishing, duplicate and surplus masks go, earlier ones stay", () => {
    const a = boxMask([0, 0, 6, 6], size);
    const b = boxMask([0, 0, 6, 7], size);
    const c = boxMask([7, 0, 13, 7], size);
    const none = boxMask([0, 0, 0, 0], size);
    expect(maskIou(a, b)).toBeCloseTo(36 / 42);
    expect(maskIou(none, none)).toBe(0);
    expect(distinctMasks([none, a, b, c], { minArea: 0, iou: 0.8, most: 9 })).toEqual([1, 3]);
    expect(distinctMasks([none, a, b, c], { minArea: 0, iou: 0.9, most: 9 })).toEqual([1, 2, 3]);
    expect(distinctMasks([a, b, c], { minArea: 0.45, iou: 1, most: 9 })).toEqual([1, 2]);
    expect(distinctMasks([a, b, c], { minArea: 0, iou: 1, most: 1 })).toEqual([0]);
  });

  test("a filter decides of each mask when it comes, as of all of them together", () => {
    const r = new Random(3);
    for (let n = 0; n < 50; n++) {
      const masks = Array.from({ length: 12 }, () => randomMask(r, r.uniform()));
      const options = { minArea: 0.2, iou: 0.4, most: r.integer(1, 6) };
      const stays = distinctFilter(options);
      const kept = masks.flatMap((mask, i) => (stays(mask) ? [i] : []));
      const area = (i: number) => maskArea(masks[i] as Mask);
      const overlaps = (i: number, j: number) => maskIou(masks[i] as Mask, masks[j] as Mask) > options.iou;
      const expected: number[] = [];
      for (let i = 0; i < 12 && expected.length < options.most; i++) {
        if (area(i) >= 0.2 * 91 && !expected.some((k) => overlaps(k, i))) expected.push(i);
      }
      expect(kept).toEqual(expected);
      expect(distinctMasks(masks, options)).toEqual(expected);
    }
  });

  test("coverage keeps the area, at any factor", () => {
    const r = new Random(2);
    for (const longest of [13, 7, 5, 2, 1]) {
      const mask = randomMask(r);
      const small = coverage(mask, longest);
      expect(Math.max(small.width, small.height)).toBeLessThanOrEqual(longest);
      const factor = Math.ceil(13 / longest);
      const cell = (i: number) => {
        const w = Math.min(factor, 13 - (i % small.width) * factor);
        const h = Math.min(factor, 7 - Math.floor(i / small.width) * factor);
        return w * h;
      };
      const area = small.data.reduce((sum, v, i) => sum + v * cell(i), 0);
      expect(area).toBeCloseTo(maskArea(mask), 4);
    }
  });

  test("patches are covered where the mask is, also behind a crop", () => {
    const mask = boxMask([0, 0, 8, 8], { width: 16, height: 8 });
    const plain = {
      original: { width: 16, height: 8 },
      padded: { left: 0, top: 0, width: 16, height: 8 },
      resized: { width: 32, height: 16 },
      origin: { left: 8, top: 0 },
      output: { width: 16, height: 16 },
    };
    const covered = patchCoverage(mask, plain as never, { rows: 2, columns: 2 }, 8);
    expect([...covered]).toEqual([1, 0, 1, 0]); // the crop starts at original x = 4, its second column at x = 8
  });
});

test("pooling is adaptive average pooling, for any grid and for ragged rows", () => {
  const grid = { rows: 5, columns: 7 };
  const whole = poolingMatrix([7, 7, 7, 7, 7], grid);
  for (let i = 0; i < 35; i++) for (let j = 0; j < 35; j++) expect(whole[i * 35 + j]).toBe(i === j ? 1 : 0);
  for (const layout of [[1], [3, 3], [4, 4, 4], [2, 1, 3]]) {
    const matrix = poolingMatrix(layout, grid);
    let token = 0;
    layout.forEach((columns, row) => {
      for (let column = 0; column < columns; column++, token++) {
        const weights = matrix.slice(token * 35, (token + 1) * 35);
        expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6);
        const [top, bottom] = [
          Math.floor((row * 5) / layout.length),
          Math.ceil(((row + 1) * 5) / layout.length),
        ];
        const [left, right] = [Math.floor((column * 7) / columns), Math.ceil(((column + 1) * 7) / columns)];
        weights.forEach((w, i) => {
          const inside =
            Math.floor(i / 7) >= top && Math.floor(i / 7) < bottom && i % 7 >= left && i % 7 < right;
          expect(w > 0).toBe(inside);
        });
      }
    });
  }
});
