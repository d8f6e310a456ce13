import { expect, test } from "vitest";
import { disagreement } from "./agreement.ts";
import type { DType } from "./tensor.ts";

function check(dtype: DType, actual: number[], expected: number[]): string | undefined {
  const of = (values: number[]) => (dtype === "u32" ? Uint32Array.from(values) : Float32Array.from(values));
  return disagreement({ shape: [expected.length], dtype }, of(actual), of(expected));
}

test("rounding agrees, as a part of an element or of the whole", () => {
  expect(check("f32", [1.00005, -3], [1, -3])).toBeUndefined();
  expect(check("f32", [3e-5, 1], [0, 1])).toBeUndefined();
  expect(check("f16", [1.0009765625, 2], [1, 2])).toBeUndefined();
  expect(check("f32", [0, -0], [-0, 0])).toBeUndefined();
});

test("what is beyond rounding is named", () => {
  expect(check("f32", [1, 2.001], [1, 2])).toMatch(/element 1 of f32\[2\] is 2\.00\d* instead of 2/);
  expect(check("f32", [0, 0], [0, 1e-20])).toMatch("element 1");
  expect(check("u32", [7, 8], [7, 9])).toMatch("element 1");
});

test("NaNs and infinities have to stand where they stood", () => {
  const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
  expect(check("f32", [nan, infinity, 1], [nan, infinity, 1])).toBeUndefined();
  expect(check("f32", [nan, 1], [1, 1])).toMatch("element 0");
  expect(check("f32", [1, 1], [nan, 1])).toMatch("element 0");
  expect(check("f32", [-infinity, 1], [infinity, 1])).toMatch("element 0");
  expect(check("f32", [3e38, 1], [infinity, 1])).toMatch("element 0");
});
