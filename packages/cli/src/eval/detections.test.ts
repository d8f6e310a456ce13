import type { FoundObject } from "@mask-llava/composer";
import { Random } from "@mask-llava/runtime";
import { expect, test } from "vitest";
import { encodeRle } from "../coco/index.ts";
import type { TrueObject } from "./dataset.ts";
import { boxIou, matched, matchObjects } from "./detections.ts";

test("intersection over union of boxes", () => {
  expect(boxIou([0, 0, 4, 4], [0, 0, 4, 4])).toBe(1);
  expect(boxIou([0, 0, 4, 4], [2, 0, 6, 4])).toBeCloseTo(1 / 3, 12);
  expect(boxIou([0, 0, 4, 4], [4, 0, 6, 4])).toBe(0);
  expect(boxIou([1, 1, 1, 1], [1, 1, 1, 1])).toBe(0);
});

test("pairs are greedy: the largest overlap left, one to one", () => {
  const r = new Random(4);
  for (let n = 0; n < 300; n++) {
    const [rows, columns] = [r.integer(0, 7), r.integer(0, 7)];
    const iou = Array.from({ length: rows }, () => Array.from({ length: columns }, () => r.uniform()));
    const left = iou.map((row) => [...row]);
    const expected: [number, number][] = [];
    for (;;) {
      const best = Math.max(-1, ...left.flat());
      if (best < 0.5) break;
      const a = left.findIndex((row) => row.includes(best));
      const b = left[a]?.indexOf(best) as number;
      expected.push([a, b]);
      left[a]?.fill(-1);
      for (const row of left) row[b] = -1;
    }
    expect(matched(iou, 0.5)).toEqual(expected);
  }
});

const size = { width: 12, height: 10 };

function maskOf([x0, y0, x1, y1]: readonly number[]) {
  const inside = (i: number) => {
    const [x, y] = [i % size.width, Math.floor(i / size.width)];
    return x >= x0! && x < x1! && y >= y0! && y < y1!;
  };
  return { ...size, data: Uint8Array.from({ length: 120 }, (_, i) => (inside(i) ? 1 : 0)) };
}

function truth(box: TrueObject["box"]): TrueObject {
  return { box, mask: encodeRle(maskOf(box)), shape: "star", colour: "red", size: "small" };
}

function found(box: FoundObject["box"], kind: FoundObject["kind"] = "object"): FoundObject {
  return { kind, score: 0.9, area: 0.1, box, mask: maskOf(box) };
}

test("annotated objects are matched with what was found, but not with the background", () => {
  const truths = [truth([0, 0, 4, 4]), truth([6, 2, 10, 8]), truth([0, 6, 4, 10])];
  const objects = [
    found([6, 2, 10, 7]),
    found([0, 0, 4, 4]),
    found([5, 0, 6, 1]),
    found([0, 6, 4, 10], "background"),
  ];
  const { detections, pairs } = matchObjects(truths, objects);
  expect(pairs).toEqual([
    [0, 1],
    [1, 0],
  ]);
  expect(detections).toMatchObject({ objects: 3, found: 3 });
  expect(detections.mask_ious[0]).toBe(1);
  expect(detections.mask_ious[1]).toBeCloseTo(20 / 24, 12);
  expect(matchObjects([], objects).detections).toEqual({ objects: 0, found: 3, mask_ious: [] });
});
