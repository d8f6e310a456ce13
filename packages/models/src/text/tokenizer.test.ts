import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../checkpoint/errors.ts";
import { MemoryFolder } from "../checkpoint/folder.ts";
import { FileFolder } from "../node/file-source.ts";
import { TokenizerError } from "./errors.ts";
import { StreamDecoder } from "./stream-decoder.ts";
import { Tokenizer } from "./tokenizer.ts";

const fixtures = fileURLToPath(new URL("../../../../test/fixtures/", import.meta.url));
const read = (name: string): unknown => JSON.parse(readFileSync(`${fixtures}${name}`, "utf8"));

/** What the tests change of tokenizer.json. */
interface TokenizerJson {
  model: Record<string, unknown> & { vocab: Record<string, number> };
  added_tokens: Record<string, unknown>[];
  normalizer: unknown;
  pre_tokenizer: unknown;
  post_processor: { single: { SpecialToken?: { id: string } }[] };
  decoder: unknown;
}

interface Expected {
  tokenizer?: {
    encode: { text: string; add_special_tokens: boolean; ids: number[] }[];
    decode: { ids: number[]; skip_special_tokens: boolean; text: string }[];
  };
  truncated?: { text: string; ids: number[] }[];
}

const names = readdirSync(fixtures).filter((name) => {
  try {
    return (read(`${name}/expect.json`) as Expected).tokenizer !== undefined;
  } catch {
    return false;
  }
});

describe.each(names)("%s as the tokenizers library", async (name) => {
  const tokenizer = await Tokenizer.load(await FileFolder.open(fixtures + name));
  const expected = read(`${name}/expect.json`) as Required<Expected>;

  test("encodes", () => {
    for (const { text, add_special_tokens: addSpecialTokens, ids } of expected.tokenizer.encode) {
      expect(tokenizer.encode(text, { addSpecialTokens }), JSON.stringify(text)).toEqual(ids);
    }
  });

  test("decodes", () => {
    for (const { ids, skip_special_tokens, text } of expected.tokenizer.decode) {
      expect(tokenizer.decode(ids, { skipSpecialTokens: skip_special_tokens }), ids.join()).toBe(text);
    }
  });

  test("streams exactly what it decodes", () => {
    for (const { ids, skip_special_tokens: skipSpecialTokens, text } of expected.tokenizer.decode) {
      const stream = new StreamDecoder(tokenizer, { skipSpecialTokens });
      const pieces = [...ids.map((id) => stream.push(id)), stream.finish()];
      expect(pieces.join(""), ids.join()).toBe(text);
    }
  });

  test("streams random ids exactly, and never half a character", () => {
    let state = 12345;
    const random = (n: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    const size = tokenizer.vocabularySize;
    for (let round = 0; round < 300; round++) {
      const ids = Array.from({ length: 1 + random(24) }, () => random(size + 4));
      const skipSpecialTokens = round % 2 === 0;
      const stream = new StreamDecoder(tokenizer, { skipSpecialTokens });
      let sofar = "";
      const whole = tokenizer.decode(ids, { skipSpecialTokens });
      for (const id of ids) {
        sofar += stream.push(id);
        expect(whole.startsWith(sofar), `${JSON.stringify(sofar)} of ${JSON.stringify(whole)}`).toBe(true);
        expect(sofar).not.toMatch(/\p{Surrogate}$/u);
      }
      expect(sofar + stream.finish(), ids.join()).toBe(whole);
    }
  });

  test("truncates to a length with the special tokens kept", () => {
    const ids = tokenizer.encode("The red circle is left of the blue square.");
    for (const maxLength of [0, 1, 2, 5, ids.length, ids.length + 3]) {
      const cut = tokenizer.encode("The red circle is left of the blue square.", { maxLength });
      const frame = tokenizer.encode("");
      expect(cut.length).toBe(Math.max(frame.length, Math.min(maxLength, ids.length)));
    }
  });
});

test.each(["clip-gelu", "clip-quick-gelu"])("%s: truncation as transformers has it", async (name) => {
  const tokenizer = await Tokenizer.load(await FileFolder.open(fixtures + name));
  const { truncated } = read(`${name}/expect.json`) as Required<Expected>;
  expect(truncated.length).toBeGreaterThan(0);
  for (const { text, ids } of truncated)
    expect(tokenizer.encode(text, { maxLength: ids.length })).toEqual(ids);
});

const small = () => read("llama-f16/tokenizer.json") as TokenizerJson;

describe("settings of tokenizer_config.json", () => {
  const tokenizer = (
    config: unknown,
    change: (json: TokenizerJson) => void = () => {},
    modelType?: string,
  ) => {
    const json = small();
    change(json);
    return new Tokenizer({ tokenizer: json, config, modelType });
  };

  test("add_bos_token and add_eos_token do not count beside the post-processor", () => {
    const ids = tokenizer({}).encode("a cat");
    expect(ids[0]).toBe(1);
    const config = { bos_token: "<s>", eos_token: "</s>", add_bos_token: false, add_eos_token: true };
    expect(tokenizer(config).encode("a cat")).toEqual(ids);
    const bare = tokenizer(config, (json) => Reflect.set(json, "post_processor", null));
    expect(bare.encode("a cat")).toEqual(ids.slice(1));
  });

  test("special tokens named only there are special, and new ones get ids at the end", () => {
    const t = tokenizer({
      pad_token: { content: "<pad>", lstrip: false },
      additional_special_tokens: ["<box>"],
    });
    expect([t.tokenId("<pad>"), t.tokenId("<box>")]).toEqual([575, 576]);
    expect(t.vocabularySize).toBe(577);
    expect(t.encode("<box>", { addSpecialTokens: false })).toEqual([576]);
    expect(t.decode([576, 1])).toBe("");
    expect(t.decode([576], { skipSpecialTokens: false })).toBe("<box>");
  });

  test("LlamaTokenizer builds its own pipeline, but not for llava", () => {
    const text = "a<s>cat";
    const pieces = (config: object, modelType?: string) => {
      const t = tokenizer(config, undefined, modelType);
      return t
        .encode(text, { addSpecialTokens: false })
        .map((id) => t.token(id))
        .join(" ");
    };
    // the file's normalizer puts ▁ before every stretch, transformers' Metaspace before the first
    expect(pieces({})).toMatch(/^▁.*<s> ▁/);
    expect(pieces({ tokenizer_class: "LlamaTokenizer" }, "llama")).not.toMatch(/<s> ▁/);
    expect(pieces({ tokenizer_class: "LlamaTokenizerFast", legacy: true }, "llama")).toMatch(/<s> ▁/);
    expect(pieces({ tokenizer_class: "LlamaTokenizer" }, "llava")).toMatch(/<s> ▁/);
  });

  test("prompts that bring their own BOS get no second one", () => {
    const t = tokenizer({ bos_token: "<s>" });
    expect(t.encodePrompt("<s>a").filter((id) => id === 1)).toHaveLength(1);
    expect(t.encodePrompt("a")[0]).toBe(1);
  });
});

describe("WordLevel", () => {
  const words = "[UNK] a cat dog sits on the mat Größe don ' t . , ! ? ... x_y 猫 नमस्ते ½ ² 42".split(" ");
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]));
  const json = (pre_tokenizer: string, more: object = {}) => ({
    model: { type: "WordLevel", vocab, unk_token: "[UNK]", ...more },
    pre_tokenizer: { type: pre_tokenizer },
  });

  // ids of the Rust library (tokenizers 0.23)
  test.each([
    ["Whitespace", "the  dog\tsits, don't!\n", [6, 3, 4, 13, 9, 10, 11, 14]],
    ["Whitespace", "Größe x_y ... 42 猫 नमस्ते ½ ² q", [8, 17, 16, 22, 18, 19, 20, 21, 0]],
    ["Whitespace", "\u00a0a\u2003cat\u3000mat\x85on\x1cthe\ufeffmat a\u200dcat", [1, 2, 7, 5, 0, 6, 0, 7, 0]],
    ["Whitespace", " ", []],
    ["WhitespaceSplit", "a cat sits on the mat.", [1, 2, 4, 5, 6, 0]],
    ["WhitespaceSplit", "a\u00a0cat\u200bdog\u3000mat\x85on\x1cthe", [1, 0, 7, 0]],
  ])("%s of %j as the tokenizers library", (preTokenizer, text, ids) => {
    const tokenizer = new Tokenizer({ tokenizer: json(preTokenizer) });
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(ids.map((id) => words[id]).join(" "));
  });

  test("refuses what it would get wrong", () => {
    const make = (more: object, config?: object) =>
      new Tokenizer({ tokenizer: json("Whitespace", more), config });
    expect(() => make({ unk_token: "<none>" })).toThrow(/"<none>" is not in model\.vocab/);
    expect(() => make({}, { clean_up_tokenization_spaces: true })).toThrow(/clean_up_tokenization_spaces/);
    expect(() => make({ unk_token: null }).encode("a zebra")).toThrow(/no token for a part/);
  });
});

describe("refuses", () => {
  const bytes = (value: unknown) =>
    new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value));
  const changed = (change: (json: TokenizerJson) => void) => {
    const json = small();
    change(json);
    return { "tokenizer.json": bytes(json) };
  };
  test.each([
    ["no tokenizer.json", {}, /tokenizer\.json: is missing from/],
    ["not JSON", { "tokenizer.json": bytes("{") }, /not valid JSON/],
    ["a list", { "tokenizer.json": bytes([]) }, /found \[\], expected object/],
    ["no model", changed((j) => Reflect.deleteProperty(j, "model")), /model: is missing/],
    ["another model", changed((j) => (j.model.type = "Unigram")), /"Unigram" is not supported/],
    ["dropout", changed((j) => (j.model.dropout = 0.1)), /dropout/],
    ["fractional id", changed((j) => (j.model.vocab.x = 1.5)), /model\.vocab: is not an object of token ids/],
    ["vocabulary as list", changed((j) => Reflect.set(j.model, "vocab", [])), /model\.vocab/],
    ["no merges", changed((j) => Reflect.deleteProperty(j.model, "merges")), /model\.merges: is missing/],
    ["numbers as merges", changed((j) => (j.model.merges = [1])), /malformed|merges/],
    [
      "single_word",
      changed((j) => Object.assign(j.added_tokens[0] ?? {}, { single_word: true })),
      /single_word is not supported/,
    ],
    [
      "negative id",
      changed((j) => Object.assign(j.added_tokens[0] ?? {}, { id: -1 })),
      /added_tokens\[0\]\.id/,
    ],
    [
      "unknown normalizer",
      changed((j) => (j.normalizer = { type: "Precompiled" })),
      /normalizer "Precompiled"/,
    ],
    [
      "unknown pre-tokenizer",
      changed((j) => (j.pre_tokenizer = { type: "UnicodeScripts" })),
      /"UnicodeScripts"/,
    ],
    [
      "Split that merges",
      changed(
        (j) => (j.pre_tokenizer = { type: "Split", pattern: { String: " " }, behavior: "MergedWithNext" }),
      ),
      /MergedWithNext/,
    ],
    ["unknown decoder", changed((j) => (j.decoder = { type: "CTC" })), /decoder "CTC"/],
    [
      "decoder without content",
      changed((j) => (j.decoder = { type: "Strip", start: 1, stop: 0 })),
      /content/,
    ],
    [
      "post-processor that adds an unknown token",
      changed((j) => Object.assign(j.post_processor.single[0]?.SpecialToken ?? {}, { id: "<x>" })),
      /"<x>", which has no id/,
    ],
    [
      "post-processor without the text",
      changed((j) => j.post_processor.single.pop()),
      /does not keep the text/,
    ],
    [
      "config that is a list",
      { ...changed(() => {}), "tokenizer_config.json": bytes([]) },
      /tokenizer_config\.json: is not an object/,
    ],
    [
      "bos_token that is a number",
      { ...changed(() => {}), "tokenizer_config.json": bytes({ bos_token: 1 }) },
      /bos_token/,
    ],
  ] as [string, Record<string, Uint8Array>, RegExp][])("%s", async (_, files, message) => {
    const error = await Tokenizer.load(new MemoryFolder(files)).catch((e: unknown) => e);
    expect(error instanceof TokenizerError || error instanceof ConfigError, String(error)).toBe(true);
    expect((error as Error).message).toMatch(message);
  });

  test("text without tokens, where the unknown token has no id", () => {
    const json = small();
    Object.assign(json.model, { byte_fallback: false, unk_token: "<none>", fuse_unk: false });
    const t = new Tokenizer({ tokenizer: json });
    expect(() => t.encode("☃")).toThrow(/no token for a part of "☃"/);
  });
});
