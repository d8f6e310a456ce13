import type { SceneRandom } from "../random.ts";
import { type Attribute, type Described, middle, pairs, references } from "../references.ts";
import { type Asked, type Asker, evenly, oneOf } from "./asked.ts";

/** The middles of what is seen of two objects differ by at least this share of the picture's side. */
export const leastDistance = 0.12;

const allowed: readonly Attribute[] = ["size", "colour", "shape"];
const axes = [
  { axis: "x", before: "left", after: "right", ask: "to the left or to the right of", of: " of" },
  { axis: "y", before: "above", after: "below", ask: "above or below", of: "" },
] as const;

/**
 * "Is the star to the left or to the right of the red ring?", or "Is the star to the left of the red ring?", which is
 * answered as often with yes as with no.
 */
export const askRelation: Asker = ({ objects, size }, random) => {
  const { axis, before, after, ask, of } = random.pick(axes);
  const far = pairs(objects).filter(
    ([a, b]) => Math.abs(middle(a)[axis] - middle(b)[axis]) >= leastDistance * size,
  );
  const named = far.flatMap(([a, b]) => {
    const words = [a, b].map((object) => oneReference(objects, object, random));
    return words.every((word) => word !== undefined)
      ? [{ words, first: middle(a)[axis] < middle(b)[axis] }]
      : [];
  });
  if (random.chance(0.5)) {
    return oneOf(
      named.map(({ words: [a, b], first }): Asked => {
        return { kind: "relation", question: `Is ${a} ${ask} ${b}?`, answer: first ? before : after };
      }),
      random,
    );
  }
  const word = random.pick([before, after]);
  const direction = of ? `to the ${word}${of}` : word;
  return evenly(
    named.map(({ words: [a, b], first }): Asked => {
      const yes = first === (word === before);
      return { kind: "relation", question: `Is ${a} ${direction} ${b}?`, answer: yes ? "yes" : "no" };
    }),
    random,
  );
};

function oneReference(
  objects: readonly Described[],
  object: Described,
  random: SceneRandom,
): string | undefined {
  const phrases = references(objects, object, allowed);
  return phrases.length === 0 ? undefined : random.pick(phrases);
}
