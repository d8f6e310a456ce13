import { colours, type ShapeName, shapes, sizes, type Thing } from "./world.ts";

/** Numbers of objects in words, by value. */
export const numberWords = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight"] as const;

/** Every word of an answer; descriptions put several of them together. */
export const answerWords: readonly string[] = [
  ...["yes", "no", ...colours, ...shapes, ...sizes, ...numberWords],
  ...["left", "right", "above", "below", "a", "and"],
];

/** The noun of a shape, or of anything. */
export type Noun = ShapeName | "object";

export function plural(noun: Noun): string {
  return noun === "cross" ? "crosses" : `${noun}s`;
}

/** "a red star", "an orange star". */
export function withArticle(phrase: string): string {
  return `${/^[aeiou]/.test(phrase) ? "an" : "a"} ${phrase}`;
}

/** "a, b and c". */
export function enumerated(phrases: readonly string[]): string {
  const last = phrases.at(-1) ?? "";
  return phrases.length < 2 ? last : `${phrases.slice(0, -1).join(", ")} and ${last}`;
}

/** "a small red star". */
export function described({ size, colour, shape }: Thing & { readonly size: string }): string {
  return `a ${size} ${colour} ${shape}`;
}
