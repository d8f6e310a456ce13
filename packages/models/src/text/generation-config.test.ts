import { describe, expect, test } from "vitest";
import { ConfigError } from "../checkpoint/errors.ts";
import { MemoryFolder } from "../checkpoint/folder.ts";
import {
  type GenerationOptions,
  generationSettings,
  loadGenerationSettings,
  newTokenLimit,
} from "./generation-config.ts";

const llama3 = { bos_token_id: 1, eos_token_id: [2, 5], do_sample: true, temperature: 0.6, top_p: 0.9 };

describe("generationSettings", () => {
  test("honours the file, with transformers' defaults for the rest", () => {
    expect(generationSettings(llama3, undefined)).toEqual({
      eosTokenIds: [2, 5],
      bosTokenId: 1,
      padTokenId: undefined,
      maxNewTokens: undefined,
      maxLength: undefined,
      doSample: true,
      temperature: 0.6,
      topK: 50,
      topP: 0.9,
      minP: 0,
      repetitionPenalty: 1,
      seed: undefined,
    });
    expect(
      generationSettings({ eos_token_id: 7, top_k: 0, max_length: 20, temperature: null }, undefined),
    ).toMatchObject({
      eosTokenIds: [7],
      doSample: false,
      temperature: 1,
      topK: 0,
      maxLength: 20,
    });
  });

  test.each([
    [{ temperature: 0 }, { doSample: false, temperature: 1 }],
    [{ temperature: 0.2 }, { doSample: true, temperature: 0.2, topP: 0.9 }],
    [{ doSample: false }, { doSample: false }],
    [{ doSample: true, temperature: 0 }, { doSample: false }],
    [
      { topK: 3, topP: 1 },
      { doSample: true, topK: 3, topP: 1 },
    ],
    [{ repetitionPenalty: 1.2 }, { doSample: true, repetitionPenalty: 1.2 }],
    [
      { ignoreEos: true, seed: 3 },
      { eosTokenIds: [], seed: 3 },
    ],
    [{ maxNewTokens: 9 }, { maxNewTokens: 9, maxLength: undefined }],
  ] as [GenerationOptions, object][])("the caller wins: %j", (options, expected) => {
    expect(generationSettings({ ...llama3, max_length: 100 }, undefined, options)).toMatchObject(expected);
  });

  test.each([
    [{ num_beams: 4 }, {}, /num_beams: is not supported \(found 4, expected 1, or no such field\)/],
    [{ no_repeat_ngram_size: 3 }, {}, /no_repeat_ngram_size/],
    [{ suppress_tokens: [5] }, {}, /suppress_tokens: is not supported/],
    [{ stop_strings: "END" }, {}, /stop_strings/],
    [{ typical_p: 0.5 }, { temperature: 0.7 }, /typical_p: is not supported \(found 0\.5, expected 1/],
  ] as [object, GenerationOptions, RegExp][])(
    "refuses %j, which would change the tokens",
    (file, options, says) => {
      expect(() => generationSettings(file, undefined, options)).toThrow(ConfigError);
      expect(() => generationSettings(file, undefined, options)).toThrow(says);
    },
  );

  test("takes fields that change nothing", () => {
    const idle = {
      num_beams: 1,
      no_repeat_ngram_size: 0,
      suppress_tokens: null,
      bad_words_ids: [],
      typical_p: 0.5,
    };
    expect(generationSettings(idle, undefined).doSample).toBe(false);
  });

  test("top-k alone asks for sampling where the file does not", () => {
    expect(generationSettings({}, undefined).doSample).toBe(false);
    expect(generationSettings({}, undefined, { topK: 5 }).doSample).toBe(true);
    expect(generationSettings({}, undefined, { topK: 5, doSample: false }).doSample).toBe(false);
    expect(generationSettings({}, undefined, { repetitionPenalty: 2 }).doSample).toBe(false);
  });

  test("without the file, ids come from config.json, also from its text_config", async () => {
    expect(
      generationSettings(undefined, { eos_token_id: 3, text_config: { eos_token_id: 4, bos_token_id: 5 } }),
    ).toMatchObject({
      eosTokenIds: [3],
      bosTokenId: 5,
    });
    const text = new TextEncoder().encode('{"text_config": {"eos_token_id": [4]}}');
    expect((await loadGenerationSettings(new MemoryFolder({ "config.json": text }))).eosTokenIds).toEqual([
      4,
    ]);
    expect(generationSettings(undefined, undefined).eosTokenIds).toEqual([]);
  });

  test.each([
    [{ temperature: -1 }, /generation options: temperature.*found -1/],
    [{ temperature: Number.NaN }, /temperature/],
    [{ temperature: Number.POSITIVE_INFINITY }, /temperature/],
    [{ topP: 1.5 }, /topP.*found 1\.5/],
    [{ topK: 2.5 }, /topK/],
    [{ topK: -1 }, /topK/],
    [{ minP: 2 }, /minP/],
    [{ repetitionPenalty: 0 }, /repetitionPenalty/],
    [{ maxNewTokens: 0 }, /maxNewTokens/],
    [{ seed: -1 }, /seed/],
    [{ seed: 2 ** 32 }, /seed/],
    [{ top_k: 5 }, /no field top_k|Unrecognized/],
  ] as [GenerationOptions, RegExp][])("refuses %j", (options, message) => {
    expect(() => generationSettings({}, undefined, options)).toThrow(ConfigError);
    expect(() => generationSettings({}, undefined, options)).toThrow(message);
  });

  test.each([
    [{ eos_token_id: "2" }, /generation_config\.json: eos_token_id/],
    [{ eos_token_id: [2, -1] }, /eos_token_id/],
    [{ temperature: "hot" }, /temperature.*found "hot"/],
    [{ top_p: 7 }, /top_p/],
    [[], /generation_config\.json/],
  ] as [unknown, RegExp][])("refuses the file %j", (file, message) => {
    expect(() => generationSettings(file, undefined)).toThrow(message);
  });
});

test.each([
  [{ maxNewTokens: 10, maxLength: undefined }, 5, 100, 10],
  [{ maxNewTokens: 10, maxLength: undefined }, 95, 100, 5],
  [{ maxNewTokens: undefined, maxLength: 20 }, 5, 100, 15],
  [{ maxNewTokens: undefined, maxLength: 20 }, 30, 100, 0],
  [{ maxNewTokens: undefined, maxLength: undefined }, 5, 1000, 512],
  [{ maxNewTokens: 10, maxLength: undefined }, 100, 100, 0],
])("newTokenLimit(%j, %i, %i) = %i", (settings, prompt, context, expected) => {
  expect(newTokenLimit(settings, prompt, context)).toBe(expected);
});
