import { Random } from "@mask-llava/runtime";
import { describe, expect, it } from "vitest";
import type { Box } from "../images/index.ts";
import { boxArea, boxIou, detectObjects, nonMaximumSuppression } from "./objects.ts";
import { cornerBoxes, postProcess, probabilities, type RawDetections } from "./post-process.ts";

const size = { height: 61, width: 93 };

/** Boxes of all sizes, some reaching beyond the picture, some of no area. */
function randomRaw(random: Random): RawDetections {
  const queries = random.integer(1, 40);
  const classes = random.integer(1, 12);
  const boxes = Float32Array.from({ length: queries * 4 }, (_, i) =>
    i % 4 < 2 ? random.uniform() : Math.max(0, random.uniform() - 0.05),
  );
  return { queries, classes, logits: Float32Array.from(random.normals([queries, classes]).data), boxes };
}

function repeat(times: number, check: (random: Random) => void): void {
  for (let seed = 0; seed < times; seed++) check(new Random(seed));
}

const randomBox = (r: Random): Box => {
  const [x, y] = [r.uniform() * 50, r.uniform() * 50];
  return [x, y, x + r.uniform() * 40, y + r.uniform() * 40];
};

describe("detectObjects", () => {
  it("gives one box a query within the picture, best first, without near duplicates", () => {
    repeat(300, (random) => {
      const raw = randomRaw(random);
      const options = {
        threshold: random.uniform(),
        nmsIou: random.uniform(),
        maxObjects: random.integer(0, 30),
      };
      const objects = detectObjects(raw, size, options);
      expect(objects.length).toBeLessThanOrEqual(options.maxObjects);
      expect(new Set(objects.map(({ query }) => query)).size).toBe(objects.length);
      const all = probabilities(raw);
      for (const [i, { box, score, label, query }] of objects.entries()) {
        expect(score).toBeGreaterThan(options.threshold);
        expect(score).toBe(Math.max(...all.subarray(query * raw.classes, (query + 1) * raw.classes)));
        expect(all[query * raw.classes + label]).toBe(score);
        if (i > 0) expect(score).toBeLessThanOrEqual(objects[i - 1]?.score ?? 0);
        expect(boxArea(box)).toBeGreaterThan(0);
        expect(Math.min(...box)).toBeGreaterThanOrEqual(0);
        expect(Math.max(box[0], box[2])).toBeLessThanOrEqual(size.width);
        expect(Math.max(box[1], box[3])).toBeLessThanOrEqual(size.height);
        for (const better of objects.slice(0, i)) {
          expect(boxIou(better.box, box)).toBeLessThanOrEqual(options.nmsIou);
        }
      }
    });
  });

  it("keeps every visible query at threshold 0 without suppression", () => {
    repeat(100, (random) => {
      const raw = randomRaw(random);
      const corners = cornerBoxes(raw, size);
      const visible = Array.from({ length: raw.queries }, (_, q) => q).filter((q) => {
        const [x0, y0, x1, y1] = corners.subarray(q * 4, q * 4 + 4) as unknown as Box;
        return Math.min(x1, size.width) > Math.max(x0, 0) && Math.min(y1, size.height) > Math.max(y0, 0);
      });
      const found = detectObjects(raw, size, { threshold: 0, nmsIou: 1 }).map(({ query }) => query);
      expect(found.sort((a, b) => a - b)).toEqual(visible);
    });
  });

  it("does not depend on the order of the queries where scores differ", () => {
    repeat(100, (random) => {
      const raw = randomRaw(random);
      const reversed: RawDetections = {
        ...raw,
        logits: reverseRows(raw.logits, raw.classes),
        boxes: reverseRows(raw.boxes, 4),
      };
      const strip = (objects: ReturnType<typeof detectObjects>) =>
        objects.map(({ box, score, label }) => ({ box, score, label }));
      const options = { threshold: 0.2, nmsIou: 0.5 };
      expect(strip(detectObjects(reversed, size, options))).toEqual(strip(detectObjects(raw, size, options)));
    });
  });

  it("finds nothing above a threshold of 1", () => {
    repeat(20, (random) => expect(detectObjects(randomRaw(random), size, { threshold: 1 })).toEqual([]));
  });

  it("refuses options that mean nothing, and answers that are not numbers", () => {
    const raw = randomRaw(new Random(1));
    expect(() => detectObjects(raw, size, { nmsIou: 1.5 })).toThrow(/nmsIou: found 1.5, expected/);
    expect(() => detectObjects(raw, size, { threshold: Number.NaN })).toThrow(/threshold/);
    expect(() => detectObjects(raw, size, { maxObjects: -1 })).toThrow(/maxObjects/);
    const broken = { ...raw, logits: raw.logits.map((v, i) => (i ? v : Number.NaN)) };
    expect(() => detectObjects(broken, size)).toThrow(/NaN or infinity/);
  });
});

describe("nonMaximumSuppression", () => {
  it("keeps a maximal set: each dropped box overlaps a kept one before it", () => {
    repeat(200, (random) => {
      const boxes = Array.from({ length: random.integer(0, 30) }, () => ({ box: randomBox(random) }));
      const iou = random.uniform();
      const kept = new Set(nonMaximumSuppression(boxes, iou));
      for (const [i, object] of boxes.entries()) {
        const overlapped = boxes
          .slice(0, i)
          .some((better) => kept.has(better) && boxIou(better.box, object.box) > iou);
        expect(kept.has(object)).toBe(!overlapped);
      }
      expect(nonMaximumSuppression([...kept], iou)).toEqual([...kept]);
    });
  });
});

describe("boxIou", () => {
  it("is symmetric, 1 on itself, 0 apart, and does not change with scale", () => {
    repeat(200, (random) => {
      const [a, b] = [randomBox(random), randomBox(random)];
      const scaled = (box: Box) => box.map((v) => v * 8) as unknown as Box;
      expect(boxIou(a, b)).toBe(boxIou(b, a));
      expect(boxIou(a, a)).toBeCloseTo(1, 12);
      expect(boxIou(scaled(a), scaled(b))).toBeCloseTo(boxIou(a, b), 12);
      expect(boxIou(a, [200, 0, 300, 10])).toBe(0);
      expect(boxIou(a, b)).toBeGreaterThanOrEqual(0);
    });
    expect(boxIou([0, 0, 2, 2], [1, 0, 3, 2])).toBeCloseTo(1 / 3, 12);
    expect(boxIou([1, 1, 1, 1], [1, 1, 1, 1])).toBe(0);
  });
});

describe("postProcess", () => {
  it("ranks all pairs of query and class", () => {
    repeat(100, (random) => {
      const raw = randomRaw(random);
      const topK = random.integer(1, 60);
      const threshold = random.uniform() * 0.5;
      const { scores, labels, boxes } = postProcess(raw, size, { threshold, topK });
      const expected = [...probabilities(raw)].sort((a, b) => b - a).slice(0, topK);
      expect([...scores]).toEqual(expected.filter((s) => s > threshold));
      expect(boxes.length).toBe(scores.length * 4);
      expect(labels.every((label) => label >= 0 && label < raw.classes)).toBe(true);
    });
  });

  it("scales corners by the picture", () => {
    const raw = {
      queries: 1,
      classes: 1,
      logits: Float32Array.of(0),
      boxes: Float32Array.of(0.5, 0.25, 0.5, 0.5),
    };
    const { scores, boxes } = postProcess(raw, { height: 10, width: 40 }, { threshold: 0 });
    expect([...scores]).toEqual([0.5]);
    expect([...boxes]).toEqual([10, 0, 30, 5]);
    expect(() => postProcess(raw, size, { topK: 0 })).toThrow(/topK: found 0/);
  });
});

function reverseRows(values: Float32Array, width: number): Float32Array {
  const rows = values.length / width;
  return values.map((_, i) => values[(rows - 1 - Math.floor(i / width)) * width + (i % width)] as number);
}
