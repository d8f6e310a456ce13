import type { SceneObject } from "./format.ts";
import type { Noun } from "./words.ts";

/** What can be said of an object to tell it from the others. */
export type Attribute = "size" | "colour" | "shape";
/** What of an object questions look at. */
export type Described = Pick<SceneObject, Attribute | "box">;

/**
 * Phrases such as "the small star" or "the red object" that mean this object and no other of the scene, using only some
 * attributes.
 */
export function references(
  objects: readonly Described[],
  object: Described,
  allowed: readonly Attribute[],
): string[] {
  return subsets(allowed)
    .filter((used) => objects.filter((other) => used.every((a) => other[a] === object[a])).length === 1)
    .map((used) => phrase(object, used));
}

function phrase(object: Described, used: readonly Attribute[]): string {
  const noun: Noun = used.includes("shape") ? object.shape : "object";
  const adjectives = (["size", "colour"] as const).filter((a) => used.includes(a)).map((a) => object[a]);
  return ["the", ...adjectives, noun].join(" ");
}

/** All subsets that are not empty. */
function subsets<T>(items: readonly T[]): T[][] {
  return Array.from({ length: 2 ** items.length - 1 }, (_, i) =>
    items.filter((_, bit) => (i + 1) & (1 << bit)),
  );
}

/** Middle of what is seen of an object, in pixels. */
export function middle({ box: [x0, y0, x1, y1] }: Described): { readonly x: number; readonly y: number } {
  return { x: (x0 + x1) / 2, y: (y0 + y1) / 2 };
}

/** Ordered pairs of different objects. */
export function pairs<T>(objects: readonly T[]): [T, T][] {
  return objects.flatMap((a) => objects.filter((b) => b !== a).map((b): [T, T] => [a, b]));
}
