import { type Attribute, type Described, pairs, references } from "../references.ts";
import { type Asked, type Asker, evenly } from "./asked.ts";
import { groupsOf } from "./groups.ts";

/**
 * One question of three sorts, each answered as often with yes as with no: "Are there more red objects than blue ones?", "Is
 * the star larger than the circle?", "Do the star and the circle have the same colour?".
 */
export const askComparison: Asker = (scene, random) => {
  for (const ask of random.shuffled([askMore, askLarger, askSame])) {
    const asked = ask(scene, random);
    if (asked.length > 0) return asked;
  }
  return [];
};

/** Compares two colours, shapes or sizes, at least one of which is there. */
const askMore: Asker = ({ objects }, random) => {
  const groups = groupsOf(objects, random.pick(["colour", "shape", "size"] as const));
  const asked = pairs(groups)
    .filter(([a, b]) => a.count + b.count > 0)
    .map(([a, b]) => answered(`Are there more ${a.words} than ${b.brief}?`, a.count > b.count));
  return evenly(asked, random);
};

/** Compares objects of different sizes. */
const askLarger: Asker = ({ objects }, random) => {
  const asked = namedPairs(objects, ["colour", "shape"])
    .filter(([a, b]) => a.object.size !== b.object.size)
    .map(([a, b]) => answered(`Is ${a.name} larger than ${b.name}?`, a.object.size === "large"));
  return evenly(asked, random);
};

/** Compares the colours or the shapes of two objects. */
const askSame: Asker = ({ objects }, random) => {
  const attribute = random.pick(["colour", "shape"] as const);
  const allowed = (["size", "colour", "shape"] as const).filter((other) => other !== attribute);
  const asked = namedPairs(objects, allowed).map(([a, b]) =>
    answered(
      `Do ${a.name} and ${b.name} have the same ${attribute}?`,
      a.object[attribute] === b.object[attribute],
    ),
  );
  return evenly(asked, random);
};

function answered(question: string, yes: boolean): Asked {
  return { kind: "comparison", question, answer: yes ? "yes" : "no" };
}

/** Pairs of different objects under every name that tells them apart. */
function namedPairs(objects: readonly Described[], allowed: readonly Attribute[]) {
  const named = objects.flatMap((object) =>
    references(objects, object, allowed).map((name) => ({ object, name })),
  );
  return pairs(named).filter(([a, b]) => a.object !== b.object);
}
