import { concat, type Recorder, ShapeError, slice, type Tensor } from "@mask-llava/runtime";
import type { PromptSource } from "../generation/index.ts";
import type { LlamaNetwork } from "../llama/index.ts";

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
 * The decoder's input for a stretch of the prompt: text embeddings, with visual tokens where the prompt has them, in order.
 * @param text embeddings of the stretch's text tokens alone, in order [Tt, D]; undefined where there are none
 * @param visual visual tokens of all pictures, in order [Tv, D]; undefined where there are none
 * @param visualStart how many of them stand before the stretch
 * @returns [1, T, D]
 */
export function splice(
  cmd: Recorder,
  runs: readonly PromptRun[],
  text: Tensor | undefined,
  visual: Tensor | undefined,
  visualStart = 0,
): Tensor {
  const next = { text: 0, visual: visualStart };
  const parts = runs.map(({ kind, count }) => {
    const from = kind === "text" ? text : visual;
    const start = next[kind];
    const end = start + count;
    next[kind] = end;
    const [tokens, width] = (from?.shape ?? [0, 0]) as [number, number];
    if (!from || end > tokens) {
      throw new ShapeError(`splice: the prompt wants ${end} ${kind} tokens, there are ${tokens}`);
    }
    return count === tokens ? from : slice(cmd, from, [start, 0], [end, width]); // [count, D]
  });
  const [first] = parts;
  if (!first) throw new ShapeError("splice: an empty prompt");
  const all = parts.length === 1 ? first : concat(cmd, parts, 0); // [T, D]
  return all.reshape([1, ...all.shape]);
}

/**
 * A prompt with visual tokens: text embeddings, and `visual` in order at the image ids.
 * @param visual visual tokens of all pictures [Tv, D]
 */
export function splicedSource(
  network: LlamaNetwork,
  ids: readonly number[],
  imageTokenId: number,
  visual: Tensor,
): PromptSource {
  const embed = (cmd: Recorder, start: number, count: number): Tensor => {
    const part = ids.slice(start, start + count);
    const texts = part.filter((id) => id !== imageTokenId);
    const before = ids.slice(0, start).filter((id) => id === imageTokenId).length;
    const spec = { shape: [texts.length], dtype: "u32" as const, label: "input_ids" };
    const text = texts.length ? network.embed(cmd, cmd.constant(spec, Uint32Array.from(texts))) : undefined; // [Tt, D]
    return splice(cmd, promptRuns(part, imageTokenId), text, visual, before); // [1, count, D]
  };
  return { ids, visualId: imageTokenId, embed };
}
