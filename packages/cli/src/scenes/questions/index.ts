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

/** Questions about a scene, at most nine: two of existence and one of every other kind that has a clear answer. */
export function askAll(id: string, scene: Scene, random: SceneRandom): SceneQuestion[] {
  return askers
    .flatMap((ask) => ask(scene, random))
    .map((asked, number) => ({ id: `${id}-${number}`, ...asked }));
}
