import { concat, type Recorder, ShapeError, slice, type Tensor } from "@mask-llava/runtime";

/** A run of text tokens or of visual tokens in a prompt. */
export interface PromptRun {
  readonly kind: "text" | "visual";
  /** First token of the run in the prompt. */
  readonly start: number;
  readonly count: number;
}

/** Cuts prompt ids, in which every visual token is one `imageTokenId`, into runs. */
export function promptRuns(ids: readonly number[], imageTokenId: number): PromptRun[] {
  const runs: PromptRun[] = [];
  for (let start = 0; start < ids.length; ) {
    const visual = ids[start] === imageTokenId;
    let end = start + 1;
    while (end < ids.length && (ids[end] === imageTokenId) === visual) end++;
    runs.push({ kind: visual ? "visual" : "text", start, count: end - start });
    start = end;
  }
  return runs;
}

/**
 * The decoder's input: text embeddings, with visual tokens where the prompt has them, in order.
 * @param text embeddings of the text tokens alone, in order [Tt, D]; undefined where there are none
 * @param visual visual tokens of all pictures, in order [Tv, D]; undefined where there are none
 * @returns [1, Tt + Tv, D]
 */
export function splice(
  cmd: Recorder,
  runs: readonly PromptRun[],
  text: Tensor | undefined,
  visual: Tensor | undefined,
): Tensor {
  const used = { text: 0, visual: 0 };
  const parts = runs.map(({ kind, count }) => {
    const from = kind === "text" ? text : visual;
    const start = used[kind];
    used[kind] += count;
    if (!from || used[kind] > (from.shape[0] as number)) {
      throw new ShapeError(
        `splice: the prompt wants ${used[kind]} ${kind} tokens, there are ${from?.shape[0] ?? 0}`,
      );
    }
    const [tokens, width] = from.shape as [number, number];
    return start === 0 && count === tokens ? from : slice(cmd, from, [start, 0], [start + count, width]); // [count, D]
  });
  for (const [kind, tensor] of [
    ["text", text],
    ["visual", visual],
  ] as const) {
    if (tensor && used[kind] !== tensor.shape[0]) {
      throw new ShapeError(
        `splice: ${tensor.shape[0]} ${kind} tokens were given, the prompt has room for ${used[kind]}`,
      );
    }
  }
  const [first] = parts;
  if (!first) throw new ShapeError("splice: an empty prompt");
  const all = parts.length === 1 ? first : concat(cmd, parts, 0); // [T, D]
  return all.reshape([1, ...all.shape]);
}
