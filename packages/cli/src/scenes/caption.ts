import { type Described, middle } from "./references.ts";
import { described, enumerated } from "./words.ts";

/** Every object of a scene, from left to right. */
export function listOf(objects: readonly Described[]): string {
  return enumerated(objects.toSorted((a, b) => middle(a).x - middle(b).x).map(described));
}

/** A caption, such as "a picture of a small red star and a large blue ring". */
export function captionOf(objects: readonly Described[]): string {
  return `a picture of ${listOf(objects)}`;
}
