import { listOf } from "../caption.ts";
import { type Described, middle } from "../references.ts";
import { described } from "../words.ts";
import { type Asked, type Asker, oneOf, type Scene } from "./asked.ts";

/** How far, as a share of the picture's side, an object must stand out to be the leftmost, or come before the next. */
export const leastLead = 0.05;
/** A picture is described as a whole up to so many objects: the description is to be short. */
export const mostListed = 3;

const ends = [
  { word: "leftmost", axis: "x", sign: 1 },
  { word: "rightmost", axis: "x", sign: -1 },
  { word: "topmost", axis: "y", sign: 1 },
  { word: "lowest", axis: "y", sign: -1 },
] as const;

/** "Describe the leftmost object.", or "Describe the picture from left to right." */
export const askDescription: Asker = (scene, random) =>
  oneOf([...describeAll(scene), ...describeEnds(scene)], random);

function describeAll({ objects, size }: Scene): Asked[] {
  if (objects.length > mostListed || !apart(positions(objects, "x", 1), size)) return [];
  return [asked("Describe the picture from left to right.", listOf(objects))];
}

function describeEnds({ objects, size }: Scene): Asked[] {
  if (objects.length < 2) return [];
  return ends.flatMap(({ word, axis, sign }) => {
    const sorted = objects.toSorted((a, b) => sign * (middle(a)[axis] - middle(b)[axis]));
    if (!apart(positions(sorted, axis, sign).slice(0, 2), size)) return [];
    return [asked(`Describe the ${word} object.`, described(sorted[0] as Described))];
  });
}

function asked(question: string, answer: string): Asked {
  return { kind: "description", question, answer };
}

/** Positions of the middles along an axis, ascending. */
function positions(objects: readonly Described[], axis: "x" | "y", sign: 1 | -1): number[] {
  return objects.map((object) => sign * middle(object)[axis]).toSorted((a, b) => a - b);
}

function apart(ascending: readonly number[], size: number): boolean {
  return ascending.every((at, i) => i === 0 || at - (ascending[i - 1] as number) >= leastLead * size);
}
