import type { SceneQuestion } from "../format.ts";
import type { SceneRandom } from "../random.ts";
import type { Described } from "../references.ts";

/** A question without its number. */
export type Asked = Omit<SceneQuestion, "id">;

/** What questions are about. */
export interface Scene {
  readonly objects: readonly Described[];
  /** Pixels a side. */
  readonly size: number;
}

/** Asks about a scene; nothing where no question of the kind has one clear answer. */
export type Asker = (scene: Scene, random: SceneRandom) => Asked[];

/** One of the candidates, or nothing. */
export function oneOf(candidates: readonly Asked[], random: SceneRandom): Asked[] {
  return candidates.length === 0 ? [] : [random.pick(candidates)];
}

/**
 * One of the candidates such that, over many scenes, yes and no are as frequent: nothing unless there are candidates for both.
 */
export function evenly(candidates: readonly Asked[], random: SceneRandom): Asked[] {
  const yes = candidates.filter(({ answer }) => answer === "yes");
  const no = candidates.filter(({ answer }) => answer === "no");
  return yes.length === 0 || no.length === 0 ? [] : [random.pick(random.chance(0.5) ? yes : no)];
}
