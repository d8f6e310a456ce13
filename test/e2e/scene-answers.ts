import type { SceneAnnotation, SceneObject } from "mask-llava";

/**
 * Answers a scene's question from its annotations alone, by reading the question's words: written apart from the generator, to
 * check what it says. Throws where a question is not understood, or where it has no single answer.
 */
export function answerOf(scene: SceneAnnotation, question: string): string {
  for (const [pattern, answer] of readings) {
    const match = pattern.exec(question);
    if (match) return answer(scene, match.slice(1));
  }
  throw new Error(`the question is not understood: ${question}`);
}

type Reading = (scene: SceneAnnotation, words: string[]) => string;

const numbers = "zero one two three four five six seven eight".split(" ");
const yesNo = (yes: boolean) => (yes ? "yes" : "no");

const readings: readonly (readonly [RegExp, Reading])[] = [
  [
    /^Is there an? (.+?)(?: in the picture)?\?$/,
    ({ objects }, [what = ""]) => yesNo(matching(objects, what).length > 0),
  ],
  [/^What colour is (the .+)\?$/, (scene, [a = ""]) => only(scene, a).colour],
  [/^What shape is (the .+)\?$/, (scene, [a = ""]) => only(scene, a).shape],
  [/^Is (the .+) small or large\?$/, (scene, [a = ""]) => only(scene, a).size],
  [/^How many (.+) are there\?$/, ({ objects }, [group = ""]) => numbers[countOf(objects, group)] ?? "?"],
  [
    /^Is (the .+) to the left or to the right of (the .+)\?$/,
    (s, [a, b]) => side(s, a, b, 0, "left", "right"),
  ],
  [/^Is (the .+) above or below (the .+)\?$/, (s, [a, b]) => side(s, a, b, 1, "above", "below")],
  [
    /^Is (the .+) to the (left|right) of (the .+)\?$/,
    (s, [a, w, b]) => yesNo(side(s, a, b, 0, "left", "right") === w),
  ],
  [
    /^Is (the .+) (above|below) (the .+)\?$/,
    (s, [a, w, b]) => yesNo(side(s, a, b, 1, "above", "below") === w),
  ],
  [
    /^Are there more (.+) than (.+)\?$/,
    ({ objects }, [a = "", b = ""]) => yesNo(countOf(objects, a) > countOf(objects, b)),
  ],
  [
    /^Is (the .+) larger than (the .+)\?$/,
    (scene, [a = "", b = ""]) => larger(only(scene, a), only(scene, b)),
  ],
  [
    /^Do (the .+) and (the .+) have the same (colour|shape)\?$/,
    (scene, [a = "", b = "", attribute]) => {
      const [first, second] = [only(scene, a), only(scene, b)];
      if (first === second) throw new Error(`an object is compared with itself: ${a}, ${b}`);
      return yesNo(attribute === "colour" ? first.colour === second.colour : first.shape === second.shape);
    },
  ],
  [
    /^Describe the picture from left to right\.$/,
    ({ objects, width }) => sentence(inOrder(objects, 0, 1, width)),
  ],
  [/^Describe the leftmost object\.$/, (scene) => extreme(scene, 0, 1)],
  [/^Describe the rightmost object\.$/, (scene) => extreme(scene, 0, -1)],
  [/^Describe the topmost object\.$/, (scene) => extreme(scene, 1, 1)],
  [/^Describe the lowest object\.$/, (scene) => extreme(scene, 1, -1)],
];

/** Objects that words such as "small red star", "star" or "red object" fit. */
function matching(objects: readonly SceneObject[], what: string): SceneObject[] {
  return objects.filter((object) =>
    what
      .split(" ")
      .every(
        (word) => word === "object" || [object.size, object.colour, object.shape].includes(word as never),
      ),
  );
}

function only({ objects }: SceneAnnotation, reference: string): SceneObject {
  const found = matching(objects, reference.replace(/^the /, ""));
  if (found.length !== 1) throw new Error(`"${reference}" fits ${found.length} objects`);
  return found[0] as SceneObject;
}

function countOf(objects: readonly SceneObject[], group: string): number {
  const singular = group.replace(/crosses$/, "cross").replace(/ones$/, "object");
  return matching(objects, singular.endsWith("cross") ? singular : singular.replace(/s$/, "")).length;
}

/** Twice the middle of the box along an axis: a whole number. */
function at({ box }: SceneObject, axis: 0 | 1): number {
  return box[axis] + box[(axis + 2) as 2 | 3];
}

function side(scene: SceneAnnotation, a = "", b = "", axis: 0 | 1, before: string, after: string): string {
  const difference = at(only(scene, a), axis) - at(only(scene, b), axis);
  if (Math.abs(difference) < 2 * 0.12 * scene.width) throw new Error(`${a} and ${b} are too close to tell`);
  return difference < 0 ? before : after;
}

function larger(a: SceneObject, b: SceneObject): string {
  if (a.size === b.size) throw new Error("the sizes are the same");
  return yesNo(a.size === "large");
}

/** Objects by their place along an axis, which must differ clearly among the first `count`. */
function inOrder(
  objects: readonly SceneObject[],
  axis: 0 | 1,
  sign: number,
  width: number,
  count = objects.length,
) {
  const sorted = [...objects].sort((a, b) => sign * (at(a, axis) - at(b, axis)));
  for (let i = 1; i < count; i++) {
    const lead = Math.abs(at(sorted[i] as SceneObject, axis) - at(sorted[i - 1] as SceneObject, axis));
    if (lead < 2 * 0.05 * width) throw new Error("the order is not clear");
  }
  return sorted;
}

function extreme({ objects, width }: SceneAnnotation, axis: 0 | 1, sign: number): string {
  return sentence(inOrder(objects, axis, sign, width, 2).slice(0, 1));
}

/** "a small red star, a large blue ring and a small green heart". */
export function sentence(objects: readonly SceneObject[]): string {
  const phrases = objects.map(({ size, colour, shape }) => `a ${size} ${colour} ${shape}`);
  return phrases.join(", ").replace(/, ([^,]*)$/, " and $1");
}
