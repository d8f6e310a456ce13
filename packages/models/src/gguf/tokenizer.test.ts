import { describe, expect, test } from "vitest";
import { Tokenizer } from "../text/index.ts";
import { GgufMetadata } from "./metadata.ts";
import type { GgufValue } from "./metadata-reader.ts";
import { tokenizerJsons } from "./tokenizer.ts";

type Values = Readonly<Record<string, GgufValue | undefined>>;

const jsons = (values: Values, imageToken?: string) =>
  tokenizerJsons(
    new GgufMetadata(
      "m.gguf",
      new Map(Object.entries(values).filter((entry): entry is [string, GgufValue] => entry[1] !== undefined)),
    ),
    imageToken,
  );
const tokenizerOf = (values: Values, imageToken?: string) => {
  const { tokenizer, config } = jsons(values, imageToken);
  return new Tokenizer({ tokenizer, config });
};

const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
const pieces = ["▁a", "ab", "▁ab", "abc", "▁", "a", "b", "c", "\ufeff", "\ufeffa"];

/** A SentencePiece vocabulary: specials, bytes, pieces in the order of their scores, one user-defined, one unused. */
const sentencePiece: Values = {
  "tokenizer.ggml.model": "llama",
  "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", ...bytes, ...pieces, "<tool>", "[PAD270]"],
  "tokenizer.ggml.scores": Float32Array.from([
    0,
    0,
    0,
    ...bytes.map(() => 0),
    ...pieces.map((_, i) => -i),
    0,
    0,
  ]),
  "tokenizer.ggml.token_type": Int32Array.from([
    2,
    3,
    3,
    ...bytes.map(() => 6),
    ...pieces.map(() => 1),
    4,
    5,
  ]),
};
const id = (piece: string) => 259 + pieces.indexOf(piece);

describe("SentencePiece", () => {
  test("joins the neighbours of the highest score first", () => {
    const tokenizer = tokenizerOf(sentencePiece);
    const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
    // ▁a (score 0) before ab (-1): ▁ab is made of ▁a and b
    expect(encode("ab")).toEqual([id("▁ab")]);
    expect(encode("abc")).toEqual([id("▁ab"), id("c")]);
    expect(encode("cabc")).toEqual([id("▁"), id("c"), id("abc")]);
    expect(tokenizer.encode("a")).toEqual([1, id("▁a")]);
  });

  test("pieces of characters beyond 16 bits are cut between them", () => {
    const tokens = ["<unk>", "<s>", "</s>", "▁", "😀", "😁", "😀😁"];
    const { model } = jsons({
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.scores": Float32Array.from(tokens, (_, i) => -i),
      "tokenizer.ggml.token_type": Int32Array.of(2, 3, 3, 1, 1, 1, 1),
    }).tokenizer as { model: { merges: unknown } };
    expect(model.merges).toEqual([["😀", "😁"]]);
  });

  test("a piece may be as long as many lines of spaces", () => {
    const runs = [1, 2, 4, 512, 1024].map((n) => "▁".repeat(n));
    const tokens = ["<unk>", "<s>", "</s>", ...runs];
    const { model } = jsons({
      "tokenizer.ggml.model": "llama",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.scores": Float32Array.from(tokens, (_, i) => -i),
      "tokenizer.ggml.token_type": Int32Array.from(tokens, (_, i) => [2, 3, 3][i] ?? 1),
    }).tokenizer as { model: { merges: unknown } };
    expect(model.merges).toEqual([
      [runs[0], runs[0]],
      [runs[1], runs[1]],
      [runs[3], runs[3]],
    ]);
  });

  test("bytes stand for what has no piece; a byte order mark is a piece", () => {
    const tokenizer = tokenizerOf(sentencePiece);
    expect(tokenizer.encode("é", { addSpecialTokens: false })).toEqual([id("▁"), 3 + 0xc3, 3 + 0xa9]);
    expect(tokenizer.encode("\ufeffa", { addSpecialTokens: false })).toEqual([id("▁"), id("\ufeffa")]);
    expect(tokenizer.decode([id("▁"), id("\ufeffa")])).toBe("\ufeffa");
  });

  test("control tokens are special, user-defined ones text, unused ones nothing", () => {
    const tokenizer = tokenizerOf(sentencePiece);
    const tool = 259 + pieces.length;
    expect(tokenizer.encode("a<tool></s>a", { addSpecialTokens: false })).toEqual([
      id("▁a"),
      tool,
      2,
      id("▁a"),
    ]);
    expect(tokenizer.decode([1, id("▁a"), tool, 2])).toBe("a<tool>");
    expect(tokenizer.token(tool + 1)).toBeUndefined();
  });

  test("BOS, EOS and the space before a text as the file says", () => {
    expect(tokenizerOf({ ...sentencePiece, "tokenizer.ggml.add_bos_token": false }).encode("a")).toEqual([
      id("▁a"),
    ]);
    expect(tokenizerOf({ ...sentencePiece, "tokenizer.ggml.add_eos_token": true }).encode("a")).toEqual([
      1,
      id("▁a"),
      2,
    ]);
    const plain = tokenizerOf({ ...sentencePiece, "tokenizer.ggml.add_space_prefix": false });
    expect(plain.encode("a a")).toEqual([1, id("a"), id("▁a")]);
    expect(plain.decode([id("▁a")])).toBe(" a");
  });

  test("a picture's token is the vocabulary's, or follows it", () => {
    const without = jsons(sentencePiece, "<image>");
    expect(without.imageTokenId).toBe(259 + pieces.length + 2);
    const tokenizer = tokenizerOf(sentencePiece, "<image>");
    expect(tokenizer.encode("a<image>", { addSpecialTokens: false })).toEqual([
      id("▁a"),
      without.imageTokenId,
    ]);
    const tokens = [...(sentencePiece["tokenizer.ggml.tokens"] as string[])];
    tokens[259 + pieces.length] = "<image>";
    expect(jsons({ ...sentencePiece, "tokenizer.ggml.tokens": tokens }, "<image>").imageTokenId).toBe(
      259 + pieces.length,
    );
  });

  test("what ends a text", () => {
    const ends = (changes: Values) => jsons({ ...sentencePiece, ...changes }).generation.eos_token_id;
    expect(ends({})).toEqual([2]);
    expect(ends({ "tokenizer.ggml.eot_token_id": 269 })).toEqual([2, 269]);
    expect(
      jsons({ ...sentencePiece, "tokenizer.ggml.padding_token_id": 99999 }).generation.pad_token_id,
    ).toBe(undefined);
  });
});

const byteLevel: Values = {
  "tokenizer.ggml.model": "gpt2",
  "tokenizer.ggml.pre": "llama-bpe",
  "tokenizer.ggml.tokens": ["a", "b", "Ġ", "ab", "Ġab", "<|begin_of_text|>", "<|eot_id|>", "aab"],
  "tokenizer.ggml.token_type": Int32Array.of(1, 1, 1, 1, 1, 3, 3, 1),
  "tokenizer.ggml.merges": ["a b", "Ġ ab"],
  "tokenizer.ggml.bos_token_id": 5,
  "tokenizer.ggml.eos_token_id": 6,
};

describe("byte-level BPE", () => {
  test("merges in their order; Llama 3 takes whole words that are tokens", () => {
    expect(tokenizerOf(byteLevel).encode("ab ab")).toEqual([5, 3, 4]);
    expect(tokenizerOf(byteLevel).encode("aab")).toEqual([5, 7]);
    expect(tokenizerOf({ ...byteLevel, "tokenizer.ggml.pre": "gpt-2" }).encode("aab")).toEqual([0, 3]);
  });
});

test("more merges than a vocabulary can have are refused before they fill memory", () => {
  const runs = Array.from({ length: 1100 }, (_, i) => String.fromCharCode(0x4e00 + i)).flatMap((letter) =>
    Array.from({ length: 64 }, (__, n) => letter.repeat(n + 1)),
  );
  const tokens = ["<unk>", "<s>", "</s>", ...runs];
  const values = {
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.tokens": tokens,
    "tokenizer.ggml.scores": new Float32Array(tokens.length),
    "tokenizer.ggml.token_type": Int32Array.from(tokens, (_, i) => [2, 3, 3][i] ?? 1),
  };
  expect(() => jsons(values)).toThrow(
    /^m\.gguf: tokenizer\.ggml\.tokens: .*found 2097153 at token \d+, expected at most 2097152/,
  );
});

describe("what is wrong is refused with file and key", () => {
  const tokens = sentencePiece["tokenizer.ggml.tokens"] as string[];
  const cases: readonly [string, Values, string][] = [
    ["no model", { ...sentencePiece, "tokenizer.ggml.model": undefined }, "tokenizer.ggml.model"],
    ["another model", { ...sentencePiece, "tokenizer.ggml.model": "t5" }, "tokenizer.ggml.model"],
    ["no tokens", { ...sentencePiece, "tokenizer.ggml.tokens": undefined }, "tokenizer.ggml.tokens"],
    ["an empty vocabulary", { ...sentencePiece, "tokenizer.ggml.tokens": [] }, "tokenizer.ggml.tokens"],
    [
      "numbers for tokens",
      { ...sentencePiece, "tokenizer.ggml.tokens": Int32Array.of(1) },
      "tokenizer.ggml.tokens",
    ],
    ["no scores", { ...sentencePiece, "tokenizer.ggml.scores": undefined }, "tokenizer.ggml.scores"],
    [
      "too few scores",
      { ...sentencePiece, "tokenizer.ggml.scores": Float32Array.of(1) },
      "tokenizer.ggml.scores",
    ],
    [
      "too few types",
      { ...sentencePiece, "tokenizer.ggml.token_type": Int32Array.of(1) },
      "tokenizer.ggml.token_type",
    ],
    [
      "a token twice",
      { ...sentencePiece, "tokenizer.ggml.tokens": [...tokens.slice(0, 262), "ab", ...tokens.slice(263)] },
      "tokenizer.ggml.tokens[262]",
    ],
    [
      "a piece of a megabyte",
      {
        ...sentencePiece,
        "tokenizer.ggml.tokens": [...tokens.slice(0, 262), "ab".repeat(500_000), ...tokens.slice(263)],
      },
      "tokenizer.ggml.tokens[262]",
    ],
    [
      "an EOS beyond",
      { ...sentencePiece, "tokenizer.ggml.eos_token_id": 999 },
      "tokenizer.ggml.eos_token_id",
    ],
    [
      "white space that is removed",
      { ...sentencePiece, "tokenizer.ggml.remove_extra_whitespaces": true },
      "tokenizer.ggml.remove_extra_whitespaces",
    ],
    ["no pre-tokenizer", { ...byteLevel, "tokenizer.ggml.pre": undefined }, "tokenizer.ggml.pre"],
    ["another pre-tokenizer", { ...byteLevel, "tokenizer.ggml.pre": "viking" }, "tokenizer.ggml.pre"],
    ["no merges", { ...byteLevel, "tokenizer.ggml.merges": undefined }, "tokenizer.ggml.merges"],
    ["half a merge", { ...byteLevel, "tokenizer.ggml.merges": ["a b", "ab"] }, "tokenizer.ggml.merges[1]"],
    [
      "no BOS to add",
      { ...byteLevel, "tokenizer.ggml.bos_token_id": undefined },
      "tokenizer.ggml.bos_token_id",
    ],
  ];
  test.each(cases)("%s", (_, values, field) => {
    expect(() => jsons(values)).toThrow(expect.objectContaining({ code: "CONFIG", file: "m.gguf", field }));
  });
});
