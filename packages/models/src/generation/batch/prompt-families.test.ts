import { expect, test } from "vitest";
import { distinctPrompts, sharedPrefixes } from "./prompt-families.ts";
import { batchClass, capacityClass, endingClass } from "./size-classes.ts";

const image = 9;

function cuts(prompts: number[][]) {
  return sharedPrefixes({ prompts, imageTokenId: image }).map(({ prefix, members }) => ({ prefix, members }));
}

test("a family is cut where its prompts part ways, and every prompt keeps its last id", () => {
  expect(
    cuts([
      [1, image, 2, 3],
      [1, image, 4],
      [1, image, 2],
    ]),
  ).toEqual([{ prefix: [1, image], members: [0, 1, 2] }]);
  expect(
    cuts([
      [1, 2, 3],
      [1, 2, 3],
    ]),
  ).toEqual([{ prefix: [1, 2], members: [0, 1] }]);
  expect(
    cuts([
      [1, 2],
      [1, 2, 3],
    ]),
  ).toEqual([{ prefix: [1], members: [0, 1] }]);
  expect(cuts([[1, 2], [3]])).toEqual([{ prefix: [], members: [0, 1] }]);
  expect(cuts([[1, 2, 3]])).toEqual([{ prefix: [1, 2], members: [0] }]);
  expect(cuts([])).toEqual([]);
});

test("prompts with visual tokens in their endings, or with long endings, share nothing", () => {
  expect(
    cuts([
      [1, 2, image, 3],
      [1, 4, image, 5],
    ]),
  ).toEqual([
    { prefix: [1, 2, image], members: [0] },
    { prefix: [1, 4, image], members: [1] },
  ]);
  const long = Array.from({ length: 300 }, (_, i) => 10 + i);
  expect(
    cuts([
      [1, ...long],
      [1, 2],
    ]).map(({ members }) => members),
  ).toEqual([[0], [1]]);
});

test("repeated prompts are found in a family, and nothing else of it changes", () => {
  const prompts = [[1, 2], [1], [1, 2], [12], [1]];
  expect(distinctPrompts({ prompts, imageTokenId: image })).toEqual({
    family: { prompts: [[1, 2], [1], [12]], imageTokenId: image },
    of: [0, 1, 0, 2, 1],
  });
  expect(distinctPrompts({ prompts: [] })).toEqual({ family: { prompts: [] }, of: [] });
});

test("a prompt that ends with a visual token is left to be run alone", () => {
  expect(
    cuts([
      [1, image],
      [1, image, 2],
      [1, image, 3],
    ]),
  ).toEqual([{ prefix: [1, image], members: [1, 2] }]);
  expect(cuts([[image]])).toEqual([]);
});

test("classes hold what they are for, and little more", () => {
  for (let n = 1; n < 500; n++) {
    expect(batchClass(n)).toBeGreaterThanOrEqual(n);
    expect(batchClass(n)).toBeLessThanOrEqual(n <= 4 ? n : 1.34 * n);
    expect(batchClass(batchClass(n))).toBe(batchClass(n));
    expect(capacityClass(n) - n).toBeLessThan(32);
    expect(endingClass(n) - n).toBeLessThan(2);
    expect(Math.min(capacityClass(n), endingClass(n))).toBeGreaterThanOrEqual(n);
  }
});
