import { type Box, boxToOutput, type Geometry, pointToOutput, type Size } from "../images/index.ts";
import { SamPromptError } from "./errors.ts";
import type { EncodedPrompt } from "./prompt-encoder.ts";

/** A click in pixels of the picture: 1 says that the object is there, 0 that it is not. */
export interface SamPoint {
  readonly x: number;
  readonly y: number;
  readonly label: number;
}

/** Logits of low resolution, as an earlier answer's `predMasks` hold them. */
export interface SamMaskInput {
  /** [side, side] or [1, side, side]: for every prompt. [P, side, side]: one for each. */
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** What to segment. Each prompt is a box, some clicks, or both; `boxes` and `points` are of one length where both are given. */
export interface SamPrompts {
  /** (x0, y0, x1, y1) in pixels of the picture, a prompt each. */
  readonly boxes?: readonly Box[] | undefined;
  /** The clicks of each prompt. */
  readonly points?: readonly (readonly SamPoint[])[] | undefined;
  /** Without boxes and points, the mask is the one prompt. */
  readonly maskInput?: SamMaskInput | undefined;
}

/**
 * The number of prompts. Throws a SamPromptError unless each is whole: coordinates finite and within the picture, boxes not
 * inverted, labels 0 or 1, masks finite and of `maskSide` pixels a side.
 */
export function checkPrompts(prompts: SamPrompts, size: Size, maskSide: number): number {
  const { boxes, points, maskInput } = prompts;
  const count = countPrompts(prompts);
  for (const [i, box] of (boxes ?? []).entries()) checkBox(box, i, size);
  for (const [i, clicks] of (points ?? []).entries()) {
    if (clicks.length === 0 && !boxes)
      throw new SamPromptError({ prompt: i, field: "points", found: "none", expected: "at least one point" });
    for (const point of clicks) checkPoint(point, i, size);
  }
  if (maskInput) checkMask(maskInput, count, maskSide);
  return count;
}

function countPrompts({ boxes, points, maskInput }: SamPrompts): number {
  if (boxes && points && boxes.length !== points.length) {
    throw new SamPromptError({
      prompt: Math.min(boxes.length, points.length),
      field: "points",
      found: `clicks for ${points.length} prompts`,
      expected: `as many as there are boxes, ${boxes.length}`,
    });
  }
  const count = boxes?.length ?? points?.length ?? (maskInput ? 1 : 0);
  if (count === 0) {
    const expected = "at least one box, one list of points or a mask";
    throw new SamPromptError({ prompt: undefined, field: "prompts", found: "none", expected });
  }
  return count;
}

function checkBox(box: Box, prompt: number, { width, height }: Size): void {
  const [x0, y0, x1, y1] = box;
  const fail = (expected: string): never => {
    throw new SamPromptError({ prompt, field: "boxes", found: `[${box.join(", ")}]`, expected });
  };
  if (box.length !== 4 || !box.every(Number.isFinite)) fail("four finite numbers x0, y0, x1, y1");
  if (x0 >= x1 || y0 >= y1) fail("x0 < x1 and y0 < y1");
  if (x0 < 0 || y0 < 0 || x1 > width || y1 > height) fail(`a box within the picture of ${width}x${height}`);
}

function checkPoint({ x, y, label }: SamPoint, prompt: number, { width, height }: Size): void {
  const fail = (found: string, expected: string): never => {
    throw new SamPromptError({ prompt, field: "points", found, expected });
  };
  if (!Number.isFinite(x) || !Number.isFinite(y)) fail(`(${x}, ${y})`, "finite coordinates");
  if (x < 0 || y < 0 || x > width || y > height)
    fail(`(${x}, ${y})`, `a point within the picture of ${width}x${height}`);
  if (label !== 0 && label !== 1) fail(`label ${label}`, "label 1 (object) or 0 (background)");
}

function checkMask({ shape, data }: SamMaskInput, count: number, side: number): void {
  const found = `[${shape.join(", ")}] of ${data.length} values`;
  const [rows, columns] = shape.slice(-2);
  const planes = shape.length === 3 ? (shape[0] as number) : 1;
  const known = shape.length === 2 || (shape.length === 3 && (planes === 1 || planes === count));
  if (!known || rows !== side || columns !== side || data.length !== planes * side * side) {
    const expected = `[${side}, ${side}], or [${count}, ${side}, ${side}] with a mask for each prompt`;
    // with a mask for each prompt, the first that has none or one too many is to blame
    const prompt = known || shape.length !== 3 ? undefined : Math.min(planes, count);
    throw new SamPromptError({ prompt, field: "maskInput", found, expected });
  }
  const bad = data.findIndex((v) => !Number.isFinite(v));
  if (bad >= 0) {
    throw new SamPromptError({
      prompt: planes === 1 ? undefined : Math.floor(bad / (side * side)),
      field: "maskInput",
      found: `${data[bad]} at row ${Math.floor(bad / side) % side}, column ${bad % side}`,
      expected: "finite logits",
    });
  }
}

/** Checked prompts in pixels of the network's input. */
export function placePrompts({ boxes, points }: SamPrompts, count: number, g: Geometry): EncodedPrompt[] {
  return Array.from({ length: count }, (_, i) => {
    const box = boxes?.[i];
    return {
      points: (points?.[i] ?? []).map(({ x, y, label }) => {
        const [px, py] = pointToOutput(g, x, y);
        return { x: px, y: py, label: label === 1 ? 1 : 0 };
      }),
      box: box && boxToOutput(g, box),
    };
  });
}
