import { describe, expect, test } from "vitest";
import { parseConfig } from "../checkpoint/index.ts";
import { llamaConfigSchema } from "./config.ts";

const parse = (changes: object) =>
  parseConfig(
    llamaConfigSchema,
    { model_type: "llama", hidden_size: 256, num_attention_heads: 4, ...changes },
    "config.json",
  );
const llama3 = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};

describe("rotary settings", () => {
  test("are read under either name", () => {
    expect(parse({ rope_scaling: llama3, rope_theta: 500000 }).rope).toEqual({
      ...llama3,
      rope_theta: 500000,
    });
    expect(parse({ rope_parameters: { ...llama3, rope_theta: 500000 } }).rope).toEqual({
      ...llama3,
      rope_theta: 500000,
    });
    expect(parse({ rope_parameters: { partial_rotary_factor: 0.25 } }).head_dim).toBe(64);
  });

  test.each<readonly [object, RegExp]>([
    [
      { rope_scaling: { ...llama3, low_freq_factor: 4, high_freq_factor: 1 } },
      /^config\.json: rope_scaling\.high_freq_factor: is not above low_freq_factor \(found 1, expected more than 4\)$/,
    ],
    [
      { rope_parameters: { ...llama3, high_freq_factor: 1 } },
      /^config\.json: rope_parameters\.high_freq_factor: .*\(found 1, expected more than 1\)$/,
    ],
    [
      { rope_scaling: { ...llama3, rope_type: undefined, type: "llama3", high_freq_factor: 0.5 } },
      /^config\.json: rope_scaling\.high_freq_factor: /,
    ],
    [
      { rope_parameters: { partial_rotary_factor: 0.3 } },
      /^config\.json: rope_parameters\.partial_rotary_factor: rotates 19 elements of a head of 64 \(found 0\.3, expected .*even/,
    ],
    [{ rope_scaling: { partial_rotary_factor: 0.01 } }, /rope_scaling\.partial_rotary_factor: rotates 0 /],
    [{ rope_scaling: { ...llama3, factor: undefined } }, /rope_scaling\.factor: is missing/],
    [
      { rope_scaling: { rope_type: "freq_factors", freq_factors: [1] } },
      /rope_scaling\.freq_factors: is not one number for each of the 32 pairs/,
    ],
  ])("%j is refused by file and field", (changes, message) => {
    expect(() => parse(changes)).toThrow(message);
  });
});
