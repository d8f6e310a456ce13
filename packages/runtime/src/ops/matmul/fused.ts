import { quantGroup } from "../../quantized.ts";
import type { MatmulInputs } from "./spec.ts";

/** What of a product's surroundings a kernel does on the way. */
export interface Fused {
  readonly normed: boolean;
  readonly gated: boolean;
}

export const plain: Fused = { normed: false, gated: false };

export function fusedOf({ gain, up }: MatmulInputs): Fused {
  return { normed: gain !== undefined, gated: up !== undefined };
}

/** Of a kernel's name. */
export function suffixOf({ normed, gated }: Fused): string {
  return `${normed ? "-normed" : ""}${gated ? "-gated" : ""}`;
}

/** Whether a gain, if there is one, covers whole groups: the padding of others stands for nothing. */
export function wholeGroups({ a, gain }: MatmulInputs): boolean {
  return !gain || (a.shape.at(-1) as number) % quantGroup === 0;
}

/** Whether any of it is asked for. */
export function isFused(inputs: MatmulInputs): boolean {
  const { normed, gated } = fusedOf(inputs);
  return normed || gated;
}
