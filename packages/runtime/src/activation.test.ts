import { expect, test } from "vitest";
import { activationReference, erfc } from "./activation.ts";

// by the C library
test.each([
  [0, 1],
  [0.5, 0.4795001221869535],
  [-1, 1.8427007929497148],
  [2.4999, 0.0004071699003334514],
  [3, 2.209049699858544e-5],
  [-3.5, 1.9999992569016276],
  [-5.9955, 2],
  [-40, 2],
])("erfc(%d)", (x, expected) => {
  expect(Math.abs(erfc(x) - expected)).toBeLessThan(1e-13);
});

test("gelu is x where nothing of the tail is left", () => {
  expect(activationReference("gelu")(8.478937149047852)).toBe(8.478937149047852);
});
