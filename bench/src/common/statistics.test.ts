import { expect, test } from "vitest";
import { quantile, statisticsOf } from "./statistics.ts";

test("quantiles are linear between neighbours", () => {
  expect(quantile([1, 2, 4], 0.5)).toBe(2);
  expect(quantile([1, 2, 4, 8], 0.5)).toBe(3);
  expect(quantile([1, 3], 0.25)).toBe(1.5);
});

test("mean, margin of error, median and spread of given times", async () => {
  const times = [10, 12, 11, 13, 9];
  const s = await statisticsOf(times);
  expect(s.samples).toBe(5);
  expect(s.mean).toBeCloseTo(11, 6);
  expect(s.median).toBe(11);
  expect([s.min, s.max]).toEqual([9, 13]);
  // s = sqrt(2.5), Student's t for 4 degrees of freedom at 95% is 2.776
  expect(s.relativeMarginOfError).toBeCloseTo((100 * 2.776 * Math.sqrt(2.5 / 5)) / 11, 3);
  expect(s.spread).toBeCloseTo(2 / 11, 12);
});

test("times of microseconds keep their digits", async () => {
  const s = await statisticsOf([0.0011, 0.0012, 0.001]);
  expect(s.mean).toBeCloseTo(0.0011, 7);
});

test.each([[[1]], [[1, 0]], [[1, Number.NaN]]])("refuses %j", async (times) => {
  await expect(statisticsOf(times)).rejects.toThrow(/at least two positive times/);
});
