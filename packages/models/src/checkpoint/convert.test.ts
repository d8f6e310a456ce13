import { decodeFloat16, fromFloat16Bits, toFloat16Bits } from "@mask-llava/runtime";
import { describe, expect, test } from "vitest";
import { ConversionError, canConvert, convert } from "./convert.ts";
import { defaultTarget } from "./weight-dtype.ts";

const bytesOf = (a: ArrayBufferView) => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);
const shared = new ArrayBuffer(1 << 20);
const out = () => shared;
const bf16 = (...values: number[]) =>
  bytesOf(Uint16Array.from(new Uint32Array(new Float32Array(values).buffer), (x) => x >>> 16));

describe("to f32", () => {
  test("all 65536 halves", () => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const values = convert("F16", "f32", bytesOf(halves), out());
    expect(values).toEqual(decodeFloat16(halves));
    expect([values[0x3c00], values[1], values[0xfbff], values[0x7c00], values[0x7e00]]).toEqual([
      1,
      2 ** -24,
      -65504,
      Number.POSITIVE_INFINITY,
      Number.NaN,
    ]);
  });

  test("bf16, also where a chunk is not aligned", () => {
    const src = bf16(1, -2.5, 3.3895313892515355e38, 0, -0, Number.NEGATIVE_INFINITY, Number.NaN);
    const shifted = new Uint8Array(src.length + 1);
    shifted.set(src, 1);
    for (const bytes of [src, shifted.subarray(1)]) {
      expect([...convert("BF16", "f32", bytes, out())]).toEqual([
        1,
        -2.5,
        3.3895313892515355e38,
        0,
        -0,
        Number.NEGATIVE_INFINITY,
        Number.NaN,
      ]);
    }
  });

  test("f64 rounds to nearest; f32 is passed through", () => {
    expect([...convert("F64", "f32", bytesOf(new Float64Array([0.1, -1e-60, 2])), out())]).toEqual([
      Math.fround(0.1),
      -0,
      2,
    ]);
    const same = new Float32Array([1, 2]);
    expect(convert("F32", "f32", bytesOf(same), out())).toEqual(same);
  });

  test("f64 beyond f32 is an error", () => {
    expect(() => convert("F64", "f32", bytesOf(new Float64Array([1, 1e39])), out())).toThrow(
      expect.objectContaining({ index: 1, value: 1e39 }),
    );
  });
});

describe("to f16", () => {
  test("rounds to nearest, ties to even, as the definition has it", () => {
    // for each half h and its successor: the midpoint goes to the even one, a nudge decides otherwise
    const inputs: number[] = [];
    const expected: number[] = [];
    for (let h = 0; h < 0x7bff; h++) {
      const low = fromFloat16Bits(h);
      const high = fromFloat16Bits(h + 1);
      const middle = (low + high) / 2;
      const nudge = (high - low) / 64;
      inputs.push(low, middle, middle - nudge, middle + nudge, -middle);
      const even = h % 2 ? h + 1 : h;
      expected.push(h, even, h, h + 1, even | 0x8000);
    }
    const src = new Float32Array(inputs);
    expect([...convert("F32", "f16", bytesOf(src), out())]).toEqual(expected);
    expect([...convert("F64", "f16", bytesOf(new Float64Array(inputs)), out())]).toEqual(expected);
  });

  test("infinities and NaN stay; what would round to infinity is an error", () => {
    const special = new Float32Array([Number.POSITIVE_INFINITY, Number.NaN, 65519.996]);
    const halves = convert("F32", "f16", bytesOf(special), out());
    expect([halves[0], fromFloat16Bits(halves[1] as number), halves[2]]).toEqual([
      0x7c00,
      Number.NaN,
      0x7bff,
    ]);
    for (const value of [65520, -1e5, 3e38]) {
      const fail = () => convert("F32", "f16", bytesOf(new Float32Array([1, value])), out());
      expect(fail).toThrow(ConversionError);
      expect(fail).toThrow(expect.objectContaining({ index: 1 }));
    }
  });

  test("all 65536 bf16 values", () => {
    for (let b = 0; b < 65536; b++) {
      const value = new Float32Array(new Uint32Array([b << 16]).buffer)[0] as number;
      const run = () => convert("BF16", "f16", bytesOf(new Uint16Array([b])), out())[0];
      if (Number.isFinite(value) && Math.abs(value) >= 65520) expect(run).toThrow(ConversionError);
      else expect(run()).toBe(toFloat16Bits(value));
    }
  });
});

describe("integers", () => {
  test("widen and narrow with their signs", () => {
    expect([...convert("I8", "i32", bytesOf(new Int8Array([-128, 127])), out())]).toEqual([-128, 127]);
    expect([...convert("U8", "i32", new Uint8Array([0, 255]), out())]).toEqual([0, 255]);
    expect([...convert("I16", "i32", bytesOf(new Int16Array([-32768, 5])), out())]).toEqual([-32768, 5]);
    expect([...convert("U16", "i32", bytesOf(new Uint16Array([65535])), out())]).toEqual([65535]);
    expect([...convert("BOOL", "i32", new Uint8Array([1, 0]), out())]).toEqual([1, 0]);
    expect([...convert("U32", "u32", bytesOf(new Uint32Array([4294967295])), out())]).toEqual([4294967295]);
    const long = new BigInt64Array([-1n, 2147483647n, -2147483648n, 0n]);
    expect([...convert("I64", "i32", bytesOf(long), out())]).toEqual([-1, 2147483647, -2147483648, 0]);
  });

  test.each([2147483648n, -2147483649n, 1n << 40n, -(1n << 40n)])("%s is too wide for i32", (value) => {
    expect(() => convert("I64", "i32", bytesOf(new BigInt64Array([0n, value])), out())).toThrow(
      expect.objectContaining({ index: 1, value }),
    );
  });

  test("u32 beyond i32 is an error", () => {
    expect(() => convert("U32", "i32", bytesOf(new Uint32Array([0x80000000])), out())).toThrow(
      ConversionError,
    );
  });
});

test("kinds do not mix, and defaults follow the kind", () => {
  expect(canConvert("I64", "f32")).toBe(false);
  expect(canConvert("F32", "i32")).toBe(false);
  expect(canConvert("F8_E4M3", "f32")).toBe(false);
  expect(defaultTarget("BF16", "f16")).toBe("f16");
  expect(defaultTarget("I64", "f16")).toBe("i32");
  expect(defaultTarget("U32", "f16")).toBe("u32");
});
