import { wilson } from "./wilson.ts";

/** Right answers among n, with Wilson's 95% interval. */
export interface Share {
  readonly accuracy: number;
  readonly right: number;
  readonly n: number;
  readonly interval: readonly [low: number, high: number];
}

export function shareOf(right: number, n: number): Share {
  return { accuracy: n > 0 ? right / n : 0, right, n, interval: wilson(right, n) };
}
