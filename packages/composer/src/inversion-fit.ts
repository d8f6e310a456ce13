import type { HostValues } from "./host-rows.ts";

/** How well a mask's explainability map fills the mask, before the first step and at the last. */
export interface InversionFit {
  /** Dice loss, 0 (the map is the mask) to 1. */
  readonly dice: { readonly first: number; readonly last: number };
  /** Share of the map that lies inside the mask: sum(map · mask) / sum(map); 0 for a map of zeros. */
  readonly mass: { readonly first: number; readonly last: number };
}

interface FitInputs {
  /** Values from 0 to 1 [H, W] each, at the maps' size. */
  readonly masks: readonly { readonly data: ArrayLike<number> }[];
  /** [M, H, W] */
  readonly firstMaps: HostValues;
  /** [M, H, W] */
  readonly lastMaps: HostValues;
  /** [M, steps] */
  readonly diceLosses: HostValues;
}

/** The fit of each mask's map. @returns [M] */
export function inversionFits({ masks, firstMaps, lastMaps, diceLosses }: FitInputs): InversionFit[] {
  const steps = diceLosses.shape[1] as number;
  return masks.map((mask, m) => ({
    dice: {
      first: diceLosses.data[m * steps] as number,
      last: diceLosses.data[(m + 1) * steps - 1] as number,
    },
    mass: { first: massInside(firstMaps, mask.data, m), last: massInside(lastMaps, mask.data, m) },
  }));
}

function massInside(maps: HostValues, mask: ArrayLike<number>, m: number): number {
  const from = m * mask.length;
  let [inside, all] = [0, 0];
  for (let i = 0; i < mask.length; i++) {
    const value = maps.data[from + i] as number;
    inside += value * (mask[i] as number);
    all += value;
  }
  return all > 0 ? inside / all : 0;
}
