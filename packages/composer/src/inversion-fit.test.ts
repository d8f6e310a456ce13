import { expect, test } from "vitest";
import { inversionFits } from "./inversion-fit.ts";

test("mass is the share of a map inside its mask, of the first and of the last step", () => {
  const maps = (...values: number[]) => ({ shape: [3, 1, 2], data: Float32Array.from(values) });
  const fits = inversionFits({
    masks: [{ data: [1, 0] }, { data: [0.5, 1] }, { data: [1, 1] }],
    firstMaps: maps(0.5, 0.5, 1, 0, 0, 0),
    lastMaps: maps(1, 0.25, 0, 1, 0.5, 0.5),
    diceLosses: { shape: [3, 3], data: Float32Array.of(0.75, 0.5, 0.25, 1, 0.5, 0, 0.5, 0.5, 0.5) },
  });
  expect(fits).toEqual([
    { dice: { first: 0.75, last: 0.25 }, mass: { first: 0.5, last: 0.8 } },
    { dice: { first: 1, last: 0 }, mass: { first: 0.5, last: 1 } },
    { dice: { first: 0.5, last: 0.5 }, mass: { first: 0, last: 1 } },
  ]);
});
