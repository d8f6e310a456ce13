import { describe, expect, test } from "vitest";
import { ShapeError } from "../../errors.ts";
import { type RopeParameters, ropeFrequencies } from "./frequencies.ts";

const llama3 = {
  rope_type: "llama3",
  rope_theta: 500000,
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

function frequencies(parameters: RopeParameters): Float32Array {
  return ropeFrequencies(parameters).inverseFrequencies;
}

describe("ropeFrequencies", () => {
  test("default: theta to the power of -2i / D", () => {
    const f = frequencies({ head_dim: 128 });
    expect(f).toHaveLength(64);
    expect(f[0]).toBe(1);
    expect(f[63]).toBeCloseTo(10000 ** (-126 / 128), 10);
  });

  test("a theta of its own", () => {
    expect(frequencies({ head_dim: 4, rope_theta: 100 })[1]).toBeCloseTo(0.1, 7);
  });

  test("partial rotary: fewer pairs, over the rotated part", () => {
    const f = frequencies({ head_dim: 80, partial_rotary_factor: 0.4 });
    expect(f).toHaveLength(16);
    expect(f[15]).toBeCloseTo(10000 ** (-30 / 32), 8);
  });

  test("linear, by the older name of the field", () => {
    const f = frequencies({ head_dim: 8, type: "linear", factor: 4 });
    expect(f[0]).toBe(0.25);
  });

  test("llama3: short wavelengths stay, long ones are divided, a ramp between", () => {
    const plain = frequencies({ head_dim: 128, rope_theta: 500000 });
    const scaled = frequencies({ head_dim: 128, ...llama3 });
    const ratios = Array.from(scaled, (f, i) => f / (plain[i] as number));
    expect(ratios[0]).toBe(1);
    expect(ratios[63]).toBeCloseTo(1 / 8, 6);
    ratios.forEach((ratio, i) => {
      const wavelength = (2 * Math.PI) / (plain[i] as number);
      if (wavelength < 8192 / 4) expect(ratio).toBe(1);
      else if (wavelength > 8192) expect(ratio).toBeCloseTo(1 / 8, 6);
      else expect(ratio > 1 / 8 && ratio < 1).toBe(true);
    });
    // between the two there is one at least, or the ramp is untested
    expect(ratios.some((ratio) => ratio > 0.13 && ratio < 0.99)).toBe(true);
  });

  test("freq_factors: each divided by its own, which can say the same as llama3", () => {
    const plain = frequencies({ head_dim: 128, rope_theta: 500000 });
    const scaled = frequencies({ head_dim: 128, ...llama3 });
    const freq_factors = Array.from(plain, (f, i) => f / (scaled[i] as number));
    const own = frequencies({ head_dim: 128, rope_theta: 500000, rope_type: "freq_factors", freq_factors });
    own.forEach((f, i) => {
      expect(Math.abs(f / (scaled[i] as number) - 1)).toBeLessThan(2e-7);
    });
  });

  test.each([
    [
      { head_dim: 8, rope_type: "freq_factors", freq_factors: [1, 2, 3] },
      /positive freq_factors\[3\], found undefined/,
    ],
    [{ head_dim: 64, rope_type: "yarn", factor: 2 }, /yarn is not supported/],
    [{ head_dim: 64, rope_type: "linear" }, /linear takes a positive factor, found undefined/],
    [{ head_dim: 64, ...llama3, high_freq_factor: 1 }, /high_freq_factor 1 is not above/],
    [{ head_dim: 7 }, /7 elements to rotate/],
    [{ head_dim: 64, rope_theta: Number.NaN }, /positive rope_theta, found NaN/],
  ])("%j is refused", (config, message) => {
    expect(() => ropeFrequencies(config)).toThrow(ShapeError);
    expect(() => ropeFrequencies(config)).toThrow(message);
  });
});
