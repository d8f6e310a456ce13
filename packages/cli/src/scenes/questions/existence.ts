import { type Negative, negatives } from "../format.ts";
import type { SceneRandom } from "../random.ts";
import { withArticle } from "../words.ts";
import { colours, colourWeights, shapes, shapeWeights, type Thing, things } from "../world.ts";
import type { Asked, Asker } from "./asked.ts";

/** "Popular" negatives are among so many of the most frequent things. */
export const popularThings = 16;
const popularAttributes = 4;
/** Share of the scenes in which a colour or a shape alone is asked for. */
const shareOfAttributes = 0.3;

/**
 * Two questions, one answered with yes and one with no, of the same form. What is absent is drawn as in POPE (Li et al.,
 * 2023, "Evaluating Object Hallucination in Large Vision-Language Models"): at random; among the most frequent things of the
 * world; or adversarially, which here is something whose shape and colour are both in the picture but not on one object or,
 * where there is no such thing, something that has one of them in common with an object.
 */
export const askExistence: Asker = ({ objects }, random) => {
  const negative = random.pick(negatives);
  const attribute = negative !== "adversarial" && random.chance(shareOfAttributes);
  const [present, absent] =
    (attribute && attributeWords(objects, negative, random)) || thingWords(objects, negative, random);
  return random.shuffled<Asked>([
    { kind: "existence", question: ask(present, random), answer: "yes" },
    { kind: "existence", question: ask(absent, random), answer: "no", negative },
  ]);
};

type Pair = readonly [present: string, absent: string];

function thingWords(objects: readonly Thing[], negative: Negative, random: SceneRandom): Pair {
  const absent = things.filter((thing) => !objects.some((object) => same(object, thing)));
  const pools: Readonly<Record<Negative, () => readonly Thing[]>> = {
    random: () => absent,
    popular: () => absent.filter((thing) => things.indexOf(thing) < popularThings),
    adversarial: () => mostAlike(absent, objects),
  };
  const words = ({ colour, shape }: Thing) => `${colour} ${shape}`;
  return [words(random.pick(objects)), words(random.pick(pools[negative]()))];
}

function mostAlike(absent: readonly Thing[], objects: readonly Thing[]): readonly Thing[] {
  const has = (attribute: keyof Thing) => (thing: Thing) =>
    objects.some((object) => object[attribute] === thing[attribute]);
  const mixed = absent.filter(has("shape")).filter(has("colour"));
  if (mixed.length > 0) return mixed;
  return absent.filter((thing) => has("shape")(thing) || has("colour")(thing));
}

/** Words for one colour or shape; nothing where every one that might be asked for is present. */
function attributeWords(
  objects: readonly Thing[],
  negative: Negative,
  random: SceneRandom,
): Pair | undefined {
  const ofShape = random.chance(0.5);
  const all: readonly string[] = ofShape ? byWeight(shapes, shapeWeights) : byWeight(colours, colourWeights);
  const there = objects.map((object) => (ofShape ? object.shape : object.colour) as string);
  const pool = negative === "popular" ? all.slice(0, popularAttributes) : all;
  const absent = pool.filter((word) => !there.includes(word));
  if (absent.length === 0) return undefined;
  const words = (word: string) => (ofShape ? word : `${word} object`);
  return [words(random.pick(there)), words(random.pick(absent))];
}

function byWeight<T extends string>(names: readonly T[], weights: Readonly<Record<T, number>>): T[] {
  return names.toSorted((a, b) => weights[b] - weights[a]);
}

function same(a: Thing, b: Thing): boolean {
  return a.shape === b.shape && a.colour === b.colour;
}

function ask(words: string, random: SceneRandom): string {
  return `Is there ${withArticle(words)}${random.chance(0.5) ? " in the picture" : ""}?`;
}
