import { expect, test } from "vitest";
import { isRight, normalised } from "./scoring.ts";
import { wilson } from "./wilson.ts";

test.each([
  // computed with R's prop.test(x, n, correct = FALSE)
  [0, 10, 0, 0.2775],
  [5, 10, 0.2366, 0.7634],
  [10, 10, 0.7225, 1],
  [440, 500, 0.8486, 0.9056],
  [1, 1, 0.2065, 1],
])("Wilson's interval of %i of %i", (right, n, low, high) => {
  const [a, b] = wilson(right, n);
  expect(a).toBeCloseTo(low, 4);
  expect(b).toBeCloseTo(high, 4);
});

test("Wilson's interval lies within 0 and 1 and holds the share", () => {
  expect(wilson(0, 0)).toEqual([0, 1]);
  for (let n = 1; n < 40; n++) {
    for (let right = 0; right <= n; right++) {
      const [low, high] = wilson(right, n);
      expect(low).toBeGreaterThanOrEqual(0);
      expect(low).toBeLessThanOrEqual(right / n + 1e-12);
      expect(high).toBeGreaterThanOrEqual(right / n - 1e-12);
      expect(high).toBeLessThanOrEqual(1);
    }
  }
});

test("answers are compared without regard to case, space around and one full stop", () => {
  expect(isRight(" Yes.\n", ["yes"])).toBe(true);
  expect(isRight("A small red star .", ["a small red star"])).toBe(true);
  expect(isRight("yes..", ["yes"])).toBe(false);
  expect(isRight("yes, there is", ["yes"])).toBe(false);
  expect(isRight("", ["yes"])).toBe(false);
  expect(isRight("two", ["2", "Two."])).toBe(true);
  expect(normalised("ÄÖ. ")).toBe("äö");
});
