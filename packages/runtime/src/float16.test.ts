import { expect, test } from "vitest";
import { fromFloat16Bits, roundToFloat16, toFloat16Bits } from "./float16.ts";

test("every half survives the way to f64 and back", () => {
  for (let h = 0; h < 65536; h++) {
    const value = fromFloat16Bits(h);
    if (Number.isNaN(value)) expect(Number.isNaN(fromFloat16Bits(toFloat16Bits(value)))).toBe(true);
    else if (toFloat16Bits(value) !== h) throw new Error(`${h} -> ${value} -> ${toFloat16Bits(value)}`);
  }
});

test("rounds to the nearest, ties to even, over the whole range", () => {
  for (let h = 0; h < 0x7bff; h++) {
    const low = fromFloat16Bits(h);
    const high = fromFloat16Bits(h + 1);
    const middle = (low + high) / 2; // exact in f32
    expect(roundToFloat16(middle)).toBe(h % 2 === 0 ? low : high);
    expect(roundToFloat16(low + (high - low) * 0.26)).toBe(low);
    expect(roundToFloat16(-(low + (high - low) * 0.74))).toBe(-high);
  }
  expect(roundToFloat16(65519.9)).toBe(65504);
  expect(roundToFloat16(65520)).toBe(Number.POSITIVE_INFINITY);
  expect(Object.is(roundToFloat16(-1e-9), -0)).toBe(true);
});
