import { Random } from "@mask-llava/runtime";
import type { ObjectCandidate } from "./visual-tokens.ts";

/** Which object tokens go last when a budget is short. */
export type DropPolicy = "score" | "area" | "diverse" | "random";
export const dropPolicies: readonly DropPolicy[] = ["score", "area", "diverse", "random"];

export interface RankOptions {
  readonly policy: DropPolicy;
  /** For `random`. */
  readonly seed?: number;
}

/**
 * Ranks candidates, the one to keep longest first. Ties go to the earlier one.
 * - `score`: detection score; the background, which has none, comes last.
 * - `area`: size of the mask.
 * - `diverse`: greedy farthest point on the tokens' directions (cosine distance), from the best score on.
 * - `random`: a seeded shuffle.
 * @param tokens [candidates, width], row-major; read by `diverse` only
 */
export function rankObjects(
  candidates: readonly ObjectCandidate[],
  tokens: { readonly width: number; readonly data: ArrayLike<number> },
  options: RankOptions,
): number[] {
  const indices = candidates.map((_, i) => i);
  const score = (i: number) => (candidates[i]?.kind === "background" ? -1 : (candidates[i]?.score ?? 0));
  switch (options.policy) {
    case "score":
      return indices.sort((a, b) => score(b) - score(a) || a - b);
    case "area":
      return indices.sort((a, b) => (candidates[b]?.area ?? 0) - (candidates[a]?.area ?? 0) || a - b);
    case "random":
      return shuffle(indices, new Random(options.seed ?? 0));
    case "diverse":
      return farthestFirst(
        indices.sort((a, b) => score(b) - score(a) || a - b),
        directions(candidates.length, tokens),
      );
  }
}

function shuffle(indices: number[], random: Random): number[] {
  for (let i = indices.length - 1; i > 0; i--) {
    const j = random.integer(0, i + 1);
    [indices[i], indices[j]] = [indices[j] as number, indices[i] as number];
  }
  return indices;
}

/** Unit vectors; a zero token stays zero, as far from all others as an orthogonal one. */
function directions(
  count: number,
  { width, data }: { width: number; data: ArrayLike<number> },
): Float64Array[] {
  return Array.from({ length: count }, (_, i) => {
    const row = Float64Array.from({ length: width }, (__, d) => data[i * width + d] as number);
    const norm = Math.hypot(...row);
    return norm > 0 ? row.map((v) => v / norm) : row;
  });
}

function farthestFirst(byScore: readonly number[], units: readonly Float64Array[]): number[] {
  const ranked: number[] = [];
  const left = [...byScore];
  const nearest = units.map(() => Number.POSITIVE_INFINITY);
  while (left.length) {
    let pick = 0;
    for (let i = 1; i < left.length; i++) {
      if ((nearest[left[i] as number] as number) > (nearest[left[pick] as number] as number)) pick = i;
    }
    const [chosen] = left.splice(pick, 1) as [number];
    ranked.push(chosen);
    for (const other of left) {
      const a = units[chosen] as Float64Array;
      const cosine = (units[other] as Float64Array).reduce((sum, v, d) => sum + v * (a[d] as number), 0);
      nearest[other] = Math.min(nearest[other] as number, 1 - cosine);
    }
  }
  return ranked;
}
