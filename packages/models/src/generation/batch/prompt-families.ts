import type { Tensor } from "@mask-llava/runtime";

/** Prompts that are alike but for their ends, such as questions about the same visual tokens. */
export interface PromptFamily {
  /** One id a position; visual tokens have `imageTokenId`. */
  readonly prompts: readonly (readonly number[])[];
  /** Visual tokens of every prompt, in order [Tv, D]; absent: text alone. */
  readonly visual?: Tensor | undefined;
  readonly imageTokenId?: number | undefined;
}

/**
 * A family without its repeated prompts.
 * @returns it, and which of its prompts each of the family's is
 */
export function distinctPrompts(family: PromptFamily): {
  readonly family: PromptFamily;
  readonly of: number[];
} {
  const known = new Map<string, number>();
  const prompts: (readonly number[])[] = [];
  const of = family.prompts.map((prompt) => {
    const key = prompt.join();
    const at = known.get(key) ?? prompts.push(prompt) - 1;
    known.set(key, at);
    return at;
  });
  return { family: { ...family, prompts }, of };
}

/** Prompts that share their first ids. */
export interface SharedPrefix {
  readonly family: PromptFamily;
  /** Ids that are run once for all; may be none. */
  readonly prefix: readonly number[];
  /** Which prompts of the family. */
  readonly members: readonly number[];
}

/** Endings beyond this many tokens are not run side by side, as their padding would cost more than it saves. */
const longestEnding = 256;

/**
 * Cuts a family where its prompts part ways. The last id of a prompt is always of its ending: its logits choose the first new
 * token. Prompts with visual tokens in their endings, or with long endings, share nothing. A prompt that ends with a visual
 * token is in none of what is returned.
 */
export function sharedPrefixes(family: PromptFamily): SharedPrefix[] {
  const { prompts, imageTokenId } = family;
  const isVisual = (id: number | undefined) => id !== undefined && id === imageTokenId;
  const members = prompts.flatMap((prompt, i) => (isVisual(prompt.at(-1)) ? [] : [i]));
  const [first] = members;
  if (first === undefined) return [];
  const cut = members.map((i) => prompts[i] as readonly number[]);
  const common = commonLength(cut);
  const apart = cut.some((prompt) => {
    const ending = prompt.slice(common);
    return ending.length > longestEnding || ending.some(isVisual);
  });
  if (!apart) return [{ family, prefix: prompts[first]?.slice(0, common) ?? [], members }];
  return members.map((i) => ({ family, prefix: prompts[i]?.slice(0, -1) ?? [], members: [i] }));
}

/** Ids that all prompts begin with, at most one less than the shortest has. */
function commonLength(prompts: readonly (readonly number[])[]): number {
  const most = Math.min(...prompts.map(({ length }) => length)) - 1;
  const [first] = prompts;
  for (let i = 0; i < most; i++) {
    if (prompts.some((prompt) => prompt[i] !== first?.[i])) return i;
  }
  return Math.max(0, most);
}
