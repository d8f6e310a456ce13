import type { Box, Size } from "../images/index.ts";
import { checkOption, cornerBoxes, descending, probabilities, type RawDetections } from "./post-process.ts";

/** A detection without regard to its class: what may become an object token. */
export interface DetectedObject {
  /** (x0, y0, x1, y1) in pixels, within the picture. */
  readonly box: Box;
  /** Probability of its likeliest class. */
  readonly score: number;
  /** That class. */
  readonly label: number;
  /** The query that found it. */
  readonly query: number;
}

export interface ObjectOptions {
  /** Keep what scores more; default 0.3. */
  readonly threshold?: number;
  /** Of two boxes whose intersection over union exceeds this, keep the better; 1 keeps all. Default 0.7. */
  readonly nmsIou?: number;
  /** Keep at most so many; default: every query. */
  readonly maxObjects?: number;
}

/**
 * Deformable DETR as a detector of objects of any class: one box a query, its score the maximum over the classes, best
 * first; boxes are cut to the picture, and what lies outside it is dropped.
 */
export function detectObjects(raw: RawDetections, size: Size, options: ObjectOptions = {}): DetectedObject[] {
  const { threshold = 0.3, nmsIou = 0.7, maxObjects = raw.queries } = options;
  checkOption("threshold", threshold, !Number.isNaN(threshold), "a number");
  checkOption("nmsIou", nmsIou, nmsIou >= 0 && nmsIou <= 1, "a number from 0 to 1");
  checkOption("maxObjects", maxObjects, Number.isInteger(maxObjects) && maxObjects >= 0, "a whole number");
  const scores = probabilities(raw);
  const corners = cornerBoxes(raw, size);
  const objects = Array.from({ length: raw.queries }, (_, query): DetectedObject => {
    const own = scores.subarray(query * raw.classes, (query + 1) * raw.classes);
    const label = own.reduce((best, p, i) => (p > (own[best] as number) ? i : best), 0);
    const box = clip(corners.subarray(query * 4, query * 4 + 4) as unknown as Box, size);
    return { box, score: own[label] as number, label, query };
  }).filter(({ box, score }) => score > threshold && boxArea(box) > 0);
  const order = descending(objects.map(({ score }) => score));
  return nonMaximumSuppression(
    order.map((i) => objects[i] as DetectedObject),
    nmsIou,
  ).slice(0, maxObjects);
}

/** Walks `objects` in order and drops each whose box overlaps a kept one's by an intersection over union above `iou`. */
export function nonMaximumSuppression<T extends { readonly box: Box }>(
  objects: readonly T[],
  iou: number,
): T[] {
  const kept: T[] = [];
  for (const object of objects) {
    if (kept.every((better) => boxIou(better.box, object.box) <= iou)) kept.push(object);
  }
  return kept;
}

/** Intersection over union of two boxes, 0 where both are empty. */
export function boxIou(a: Box, b: Box): number {
  const shared = boxArea([
    Math.max(a[0], b[0]),
    Math.max(a[1], b[1]),
    Math.min(a[2], b[2]),
    Math.min(a[3], b[3]),
  ]);
  const union = boxArea(a) + boxArea(b) - shared;
  return union > 0 ? shared / union : 0;
}

/** Area of (x0, y0, x1, y1); 0 where it is inverted. */
export function boxArea([x0, y0, x1, y1]: Box): number {
  return Math.max(0, x1 - x0) * Math.max(0, y1 - y0);
}

function clip([x0, y0, x1, y1]: Box, { width, height }: Size): Box {
  const x = (v: number) => Math.min(Math.max(v, 0), width);
  const y = (v: number) => Math.min(Math.max(v, 0), height);
  return [x(x0), y(y0), x(x1), y(y1)];
}
