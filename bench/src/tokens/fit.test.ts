import { expect, test } from "vitest";
import { fitLine } from "./fit.ts";

test("a line through points on it", () => {
  const fit = fitLine([
    [1, 5],
    [2, 7],
    [4, 11],
  ]);
  expect(fit.slope).toBeCloseTo(2, 12);
  expect(fit.intercept).toBeCloseTo(3, 12);
  expect(fit.standardError).toBeCloseTo(0, 6);
  expect(fit.r2).toBeCloseTo(1, 12);
});

test("slope and its standard error by hand", () => {
  // means 1.5 and 2.25; sums of squares and products 5, 4.5 and 4.75, of which 0.7 are left over
  const fit = fitLine([
    [0, 1],
    [1, 2],
    [2, 2],
    [3, 4],
  ]);
  expect(fit.slope).toBeCloseTo(0.9, 12);
  expect(fit.intercept).toBeCloseTo(0.9, 12);
  expect(fit.standardError).toBeCloseTo(Math.sqrt(0.7 / 2 / 5), 12);
  expect(fit.r2).toBeCloseTo(1 - 0.7 / 4.75, 12);
});

test("one abscissa makes no line", () => {
  expect(() =>
    fitLine([
      [8, 1],
      [8, 2],
    ]),
  ).toThrow(RangeError);
});
