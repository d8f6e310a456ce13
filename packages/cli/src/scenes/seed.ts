import { createHash } from "node:crypto";
import { generatorVersion, type Split } from "./format.ts";
import { SceneRandom } from "./random.ts";

/**
 * The seed of scene `index` of a split: the first 128 bits of SHA-256 over "mask-llava scenes <version>/<seed>/<split>/<index>".
 * The split's name is hashed, so that train, validation and test have no seed in common, whatever `--seed` and `--count`
 * are: two equal seeds would be a collision of SHA-256 cut to 128 bits.
 */
export function sceneSeed(seed: number, split: Split, index: number): string {
  return digest(`mask-llava scenes ${generatorVersion}/${seed}/${split}/${index}`);
}

/**
 * Numbers for one part of a scene. Each part has its own, so that a change of how questions are asked leaves the pictures as
 * they are.
 */
export function stream(
  seed: string,
  part: "layout" | "paint" | "questions" | `questions/${number}`,
): SceneRandom {
  return new SceneRandom(digest(`${seed}/${part}`));
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}
