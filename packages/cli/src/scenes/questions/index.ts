import type { SceneQuestion } from "../format.ts";
import type { SceneRandom } from "../random.ts";
import type { Asker, Scene } from "./asked.ts";
import { askColour, askShape, askSize } from "./attributes.ts";
import { askComparison } from "./comparison.ts";
import { askCount } from "./count.ts";
import { askDescription } from "./description.ts";
import { askExistence } from "./existence.ts";
import { askRelation } from "./relation.ts";

const askers: readonly Asker[] = [
  askExistence,
  askColour,
  askShape,
  askSize,
  askCount,
  askRelation,
  askComparison,
  askDescription,
];

/**
 * Questions about a scene, a round for each source of random numbers: in a round at most nine, two of existence and one of
 * every other kind that has a clear answer. What an earlier round asked is not asked again.
 */
export function askAll(id: string, scene: Scene, rounds: readonly SceneRandom[]): SceneQuestion[] {
  const asked = rounds.flatMap((random) => askers.flatMap((ask) => ask(scene, random)));
  const first = new Map(asked.toReversed().map((one) => [one.question, one]));
  return asked
    .filter((one) => first.get(one.question) === one)
    .map((one, number) => ({ id: `${id}-${number}`, ...one }));
}
