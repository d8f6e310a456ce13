import { type FoundObject, maskIou } from "@mask-llava/composer";
import type { Box } from "@mask-llava/models";
import { decodeRle } from "../coco/index.ts";
import type { TrueObject } from "./dataset.ts";

/** Boxes that overlap by at least this are of one object. */
const leastIou = 0.5;

/** How many annotated objects a picture has, how many boxes were found, and the mask IoU of each pair of the two. */
export interface Detections {
  readonly objects: number;
  readonly found: number;
  readonly mask_ious: readonly number[];
}

export interface Matches {
  readonly detections: Detections;
  /** Indices of annotated and of found objects. */
  readonly pairs: readonly (readonly [truth: number, found: number])[];
}

/** Pairs annotated objects with found ones by their boxes, and compares the masks of each pair. */
export function matchObjects(truths: readonly TrueObject[], found: readonly FoundObject[]): Matches {
  const indices = found.flatMap(({ kind }, i) => (kind === "object" ? [i] : []));
  const pairs = matched(
    truths.map(({ box }) => indices.map((i) => boxIou(box, (found[i] as FoundObject).box))),
    leastIou,
  ).map(([t, f]) => [t, indices[f] as number] as const);
  const maskIous = pairs.map(([t, f]) =>
    maskIou(decodeRle((truths[t] as TrueObject).mask), (found[f] as FoundObject).mask),
  );
  return { detections: { objects: truths.length, found: indices.length, mask_ious: maskIous }, pairs };
}

/** Intersection over union; 0 where both are empty. */
export function boxIou(a: Box, b: Box): number {
  const area = ([x0, y0, x1, y1]: Box) => Math.max(0, x1 - x0) * Math.max(0, y1 - y0);
  const low = [Math.max(a[0], b[0]), Math.max(a[1], b[1])] as const;
  const both = area([...low, Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  const either = area(a) + area(b) - both;
  return either > 0 ? both / either : 0;
}

/**
 * Greedy pairs one to one, the largest overlap first; of equal ones the first.
 * @param iou [A, B]
 */
export function matched(iou: readonly (readonly number[])[], least: number): [a: number, b: number][] {
  const candidates = iou
    .flatMap((row, a) => row.map((value, b) => ({ a, b, value })))
    .filter(({ value }) => value >= least)
    .sort((x, y) => y.value - x.value || x.a - y.a || x.b - y.b);
  const taken = { a: new Set<number>(), b: new Set<number>() };
  const pairs: [number, number][] = [];
  for (const { a, b } of candidates) {
    if (taken.a.has(a) || taken.b.has(b)) continue;
    taken.a.add(a);
    taken.b.add(b);
    pairs.push([a, b]);
  }
  return pairs;
}
