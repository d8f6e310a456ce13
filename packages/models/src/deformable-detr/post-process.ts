import { RuntimeError } from "@mask-llava/runtime";
import type { Size } from "../images/index.ts";
import { checkFinite } from "../nn/index.ts";

/** A model's answer for one picture. */
export interface RawDetections {
  readonly queries: number;
  readonly classes: number;
  /** [Q, C] */
  readonly logits: Float32Array;
  /** (cx, cy, w, h) in the unit square of the picture. [Q, 4] */
  readonly boxes: Float32Array;
}

export interface Detections {
  /** Best first. [N] */
  readonly scores: Float32Array;
  /** Class indices. [N] */
  readonly labels: Int32Array;
  /** (x0, y0, x1, y1) in pixels of the picture; they may reach beyond it. [N, 4] */
  readonly boxes: Float32Array;
}

export interface PostProcessOptions {
  /** Keep what scores more; default 0.5. */
  readonly threshold?: number;
  /** Keep at most so many; default 100. */
  readonly topK?: number;
}

/**
 * The best pairs of query and class, as `DeformableDetrImageProcessor.post_process_object_detection`: one query may come
 * more than once, under different classes. Equal scores keep the order of queries.
 */
export function postProcess(raw: RawDetections, size: Size, options: PostProcessOptions = {}): Detections {
  const { threshold = 0.5, topK = 100 } = options;
  checkOption("topK", topK, Number.isInteger(topK) && topK >= 1, "a whole number of at least 1");
  checkOption("threshold", threshold, !Number.isNaN(threshold), "a number");
  const scores = probabilities(raw);
  const best = descending(scores)
    .slice(0, topK)
    .filter((i) => (scores[i] as number) > threshold);
  const boxes = cornerBoxes(raw, size);
  return {
    scores: Float32Array.from(best, (i) => scores[i] as number),
    labels: Int32Array.from(best, (i) => i % raw.classes),
    boxes: Float32Array.from(
      best.flatMap((i) => {
        const query = Math.floor(i / raw.classes);
        return [...boxes.subarray(query * 4, query * 4 + 4)];
      }),
    ),
  };
}

/** Sigmoid of every logit, in f32. [Q, C] */
export function probabilities({ logits, boxes }: RawDetections): Float32Array {
  checkFinite("Deformable DETR's logits", logits);
  checkFinite("Deformable DETR's boxes", boxes);
  return logits.map((x) => 1 / (1 + Math.exp(-x)));
}

/** Boxes as (x0, y0, x1, y1) in pixels of a picture of this size. [Q, 4] */
export function cornerBoxes({ boxes, queries }: RawDetections, { width, height }: Size): Float32Array {
  const out = new Float32Array(queries * 4);
  const f = Math.fround;
  for (let q = 0; q < queries * 4; q += 4) {
    const [cx, cy, w, h] = boxes.subarray(q, q + 4) as unknown as [number, number, number, number];
    out[q] = f(cx - 0.5 * w) * width;
    out[q + 1] = f(cy - 0.5 * h) * height;
    out[q + 2] = f(cx + 0.5 * w) * width;
    out[q + 3] = f(cy + 0.5 * h) * height;
  }
  return out;
}

/** Indices by falling value; equal values by rising index. */
export function descending(values: ArrayLike<number>): number[] {
  const at = (i: number) => values[i] as number;
  return Array.from(values, (_, i) => i).sort((a, b) => at(b) - at(a) || a - b);
}

export function checkOption(name: string, found: number, valid: boolean, expected: string): void {
  if (!valid) throw new RuntimeError("OPTION", `${name}: found ${found}, expected ${expected}`);
}
