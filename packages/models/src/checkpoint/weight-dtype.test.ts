import { describe, expect, test } from "vitest";
import type { StoredType } from "./stored-tensor.ts";
import { canLoad, defaultTarget, type LoadDType, type WeightRole } from "./weight-dtype.ts";

describe("what a weight becomes where the caller names no type", () => {
  const linear = (stored: StoredType) => [stored, "linear"] as const;
  const vocabulary = (stored: StoredType) => [stored, "vocabulary"] as const;
  const none = (stored: StoredType) => [stored, undefined] as const;
  // of f32, f16, q8, q4 and stored
  test.each<readonly [readonly [StoredType, WeightRole | undefined], readonly string[]]>([
    [linear("F32"), ["f32", "f16", "q8_0", "q4_0", "f16"]],
    [linear("BF16"), ["f32", "f16", "q8_0", "q4_0", "f16"]],
    [vocabulary("F16"), ["f32", "f16", "q8_0", "q8_0", "f16"]],
    [none("F32"), ["f32", "f16", "f16", "f16", "f16"]],
    [linear("Q8_0"), ["f32", "f16", "q8_0", "q4_0", "q8_0"]],
    [linear("Q4_0"), ["f32", "f16", "q4_0", "q4_0", "q4_0"]],
    [linear("Q4_1"), ["f32", "f16", "q4_1", "q4_1", "q4_1"]],
    [vocabulary("Q4_0"), ["f32", "f16", "q4_0", "q4_0", "q4_0"]],
    [vocabulary("Q8_0"), ["f32", "f16", "q8_0", "q8_0", "q8_0"]],
    [none("Q8_0"), ["f32", "f16", "f16", "f16", "f16"]],
    [linear("Q6_K"), ["f32", "f16", "q8_0", "q4_0", "f16"]],
    [vocabulary("Q4_K"), ["f32", "f16", "q8_0", "q8_0", "f16"]],
    [linear("q4_0"), ["f32", "f16", "q4_0", "q4_0", "q4_0"]],
    [none("U32"), ["u32", "u32", "u32", "u32", "u32"]],
    [none("I64"), ["i32", "i32", "i32", "i32", "i32"]],
  ])("%o", ([stored, role], expected) => {
    const dtypes: LoadDType[] = ["f32", "f16", "q8", "q4", "stored"];
    expect(dtypes.map((dtype) => defaultTarget(stored, dtype, role))).toEqual(expected);
  });
});

test.each([
  ["F32", "f16", true],
  ["BF16", "q4_1", true],
  ["I64", "q8_0", false],
  ["F32", "i32", false],
  ["Q4_K", "f32", true],
  ["Q4_K", "q8_0", true],
  ["Q8_0", "u32", false],
  ["q8_0", "q8_0", true],
  ["q8_0", "q4_0", false],
  ["q8_0", "f16", false],
] as const)("%s can become %s: %s", (stored, target, can) => {
  expect(canLoad(stored, target)).toBe(can);
});
