import { numberWords } from "../words.ts";
import type { Asked, Asker } from "./asked.ts";
import { groupsOf } from "./groups.ts";

/** Share of the questions that ask for all objects. */
const shareOfAll = 0.3;

/**
 * "How many red objects are there?" The number is drawn first, from those that occur, so that most answers are not "one".
 */
export const askCount: Asker = ({ objects }, random) => {
  const ask = (words: string, count: number): Asked[] => [
    { kind: "count", question: `How many ${words} are there?`, answer: numberWords[count] as string },
  ];
  if (random.chance(shareOfAll)) return ask("objects", objects.length);
  const groups = groupsOf(objects, random.pick(["colour", "shape", "size"] as const));
  const count = random.pick([...new Set(groups.map((group) => group.count))]);
  return ask(random.pick(groups.filter((group) => group.count === count)).words, count);
};
