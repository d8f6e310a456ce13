import type { Described } from "../references.ts";
import { plural } from "../words.ts";
import { colours, shapes, sizes } from "../world.ts";

/** Objects that have something in common. */
export interface Group {
  /** "red objects", "stars", "small objects". */
  readonly words: string;
  /** "red", "stars", "small": after another group of the same kind has been named. */
  readonly brief: string;
  readonly count: number;
}

/** Groups of one kind: each colour, each shape, or each size. */
export function groupsOf(objects: readonly Described[], kind: "colour" | "shape" | "size"): Group[] {
  const count = (value: string) => objects.filter((object) => object[kind] === value).length;
  if (kind === "shape") {
    return shapes.map((name) => ({ words: plural(name), brief: plural(name), count: count(name) }));
  }
  const values = kind === "colour" ? colours : sizes;
  return values.map((value) => ({ words: `${value} objects`, brief: `${value} ones`, count: count(value) }));
}
