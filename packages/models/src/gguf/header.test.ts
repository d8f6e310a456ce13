import { describe, expect, test } from "vitest";
import { CheckpointError, MemorySource } from "../checkpoint/index.ts";
import {
  type Contents,
  concat,
  ggufBytes,
  pair,
  type Tensor,
  text,
  u32,
  u64,
} from "./fixtures/gguf-bytes.ts";
import { readGguf } from "./header.ts";

const source = (bytes: Uint8Array) => new MemorySource("model.gguf", bytes);
const read = (contents: Contents) => readGguf(source(ggufBytes(contents)));

const f32: Tensor = { name: "a", shape: [3, 4], type: 0, offset: 0 };
const q8: Tensor = { name: "b", shape: [2, 64], type: 8, offset: 64 };
const right: Contents = {
  pairs: [pair("general.architecture", ["str", "llama"]), pair("n", ["u32", 7])],
  tensors: [f32, q8],
  data: 64 + 2 * 2 * 34,
};

describe("what is right", () => {
  test("values of every type, tensors with row-major shapes and byte ranges", async () => {
    const { metadata, tensors } = await read({
      ...right,
      pairs: [
        pair("u8", ["u8", 200]),
        pair("i8", ["i8", -3]),
        pair("u16", ["u16", 60000]),
        pair("i16", ["i16", -300]),
        pair("u32", ["u32", 4e9]),
        pair("i32", ["i32", -7]),
        pair("f32", ["f32", 0.5]),
        pair("bool", ["bool", true]),
        pair("str", ["str", "größer 😀"]),
        pair("u64", ["u64", 2n ** 60n]),
        pair("i64", ["i64", -5n]),
        pair("f64", ["f64", 1e-300]),
        pair("bools", [["bool"], [true, false]]),
        pair("ids", [["i32"], [1, -2, 3]]),
        pair("words", [["str"], ["a", "", "c"]]),
        concat(text("nested"), u32(9), u32(9), u64(2), u32(4), u64(1), u32(5), u32(8), u64(1), text("x")),
      ],
    });
    expect(Object.fromEntries(metadata)).toEqual({
      u8: 200,
      i8: -3,
      u16: 60000,
      i16: -300,
      u32: 4e9,
      i32: -7,
      f32: 0.5,
      bool: true,
      str: "größer 😀",
      u64: 2n ** 60n,
      i64: -5n,
      f64: 1e-300,
      bools: Uint8Array.of(1, 0),
      ids: Int32Array.of(1, -2, 3),
      words: ["a", "", "c"],
      nested: [Uint32Array.of(5), ["x"]],
    });
    const [first, second] = tensors;
    expect(first).toMatchObject({ name: "a", type: "F32", shape: [3, 4] });
    expect(second).toMatchObject({ name: "b", type: "Q8_0", shape: [2, 64] });
    expect((first?.end ?? 0) - (first?.begin ?? 0)).toBe(48);
    expect(second?.begin).toBe((first?.begin ?? 0) + 64);
    expect((second?.end ?? 0) - (second?.begin ?? 0)).toBe(2 * 2 * 34);
    expect((first?.begin ?? 1) % 32).toBe(0);
  });

  test("tokens keep a leading byte order mark, which makes them other tokens", async () => {
    const words = ["\ufeff", "\ufeffusing", "using"];
    const { metadata } = await read({ pairs: [pair("tokenizer.ggml.tokens", [["str"], words])] });
    expect(metadata.get("tokenizer.ggml.tokens")).toEqual(words);
  });

  test("a header of several megabytes, whatever lies at the ends of what is read at once", async () => {
    for (const width of [997, 3 * 2 ** 20]) {
      const words = Array.from({ length: Math.ceil(2.5e6 / width) }, (_, i) =>
        String(i).padStart(width, "x"),
      );
      const { metadata, tensors } = await read({ ...right, pairs: [pair("t", [["str"], words])] });
      expect(metadata.get("t")).toEqual(words);
      expect(tensors.length).toBe(2);
    }
  });

  test("version 2, another alignment, infos in any order, no padding at the end, padding at the end, no tensors", async () => {
    expect((await read({ ...right, version: 2 })).tensors.length).toBe(2);
    const aligned = { ...right, alignment: 64, pairs: [pair("general.alignment", ["u32", 64])] };
    expect((await read(aligned)).tensors.length).toBe(2);
    expect((await read({ ...right, tensors: [q8, f32] })).tensors.map(({ name }) => name)).toEqual([
      "a",
      "b",
    ]);
    expect((await read({ ...right, data: 64 + 160 })).tensors.length).toBe(2);
    expect((await read({})).tensors).toEqual([]);
  });
});

const deep = (levels: number): Uint8Array =>
  levels === 0 ? concat(u32(4), u64(0)) : concat(u32(9), u64(1), deep(levels - 1));

describe("what is wrong is refused with file, tensor, found and expected", () => {
  const cases: readonly [string, Contents, Partial<CheckpointError> & { message?: unknown }][] = [
    ["magic", { ...right, magic: "GGJT" }, { found: "bytes 47 47 4a 54", expected: "47 47 55 46 (GGUF)" }],
    ["version 1", { ...right, version: 1 }, { found: "version 1", expected: "2 or 3" }],
    ["version 4", { ...right, version: 4 }, { found: "version 4" }],
    ["big-endian", { ...right, version: 3 * 2 ** 24 }, { message: expect.stringContaining("big-endian") }],
    [
      "a key twice",
      { pairs: [pair("k", ["u8", 1]), pair("k", ["u8", 2])] },
      { message: expect.stringContaining('the metadata key "k" occurs twice') },
    ],
    ["an unknown value type", { pairs: [concat(text("k"), u32(13))] }, { found: "13", expected: "0 to 12" }],
    ["a boolean of 2", { pairs: [concat(text("k"), u32(7), Uint8Array.of(2))] }, { found: "2" }],
    ["text that is not UTF-8", { pairs: [concat(text("k"), u32(8), text(Uint8Array.of(0xc3, 0x28)))] }, {}],
    ["a length beyond the file", { pairs: [concat(text("k"), u32(8), u64(1e9))] }, {}],
    ["a length beyond all numbers", { pairs: [concat(text("k"), u32(8), u64(2n ** 63n))] }, {}],
    ["an array beyond the file", { pairs: [concat(text("k"), u32(9), u32(6), u64(2n ** 40n))] }, {}],
    ["arrays within arrays", { pairs: [concat(text("k"), u32(9), deep(5))] }, {}],
    ["an alignment of 12", { pairs: [pair("general.alignment", ["u32", 12])] }, { found: "12" }],
    ["an alignment of 0", { pairs: [pair("general.alignment", ["u32", 0])] }, { found: "0" }],
    ["an alignment in words", { pairs: [pair("general.alignment", ["str", "32"])] }, { found: "32" }],
    ["no axes", { ...right, tensors: [{ ...f32, shape: [] }] }, { tensor: "a", found: "0" }],
    ["five axes", { ...right, tensors: [{ ...f32, shape: [1, 1, 1, 3, 4] }] }, { tensor: "a", found: "5" }],
    ["an empty axis", { ...right, tensors: [{ ...f32, shape: [0, 4] }] }, { tensor: "a", found: "[0, 4]" }],
    [
      "a type that is not read",
      { ...right, tensors: [{ ...f32, type: 10 }] },
      { tensor: "a", found: "Q2_K" },
    ],
    ["an unknown type", { ...right, tensors: [{ ...f32, type: 99 }] }, { tensor: "a", found: "type 99" }],
    [
      "rows that are no whole blocks",
      { ...right, tensors: [{ ...q8, shape: [2, 48], offset: 0 }] },
      { tensor: "b", found: "[2, 48]", expected: "rows of a multiple of 32" },
    ],
    [
      "a size beyond all numbers",
      { ...right, tensors: [{ ...f32, shape: [2n ** 40n, 2n ** 40n] }] },
      { tensor: "a" },
    ],
    [
      "an offset that is not aligned",
      { ...right, tensors: [f32, { ...q8, offset: 65 }] },
      { tensor: "b", found: "offset 65", expected: "a multiple of 32" },
    ],
    [
      "an overlap",
      { ...right, tensors: [f32, { ...q8, offset: 32 }] },
      { tensor: "b", found: "offset 32", expected: "64", message: expect.stringContaining('overlaps "a"') },
    ],
    [
      "a hole",
      { ...right, tensors: [f32, { ...q8, offset: 96 }], data: 999 },
      { tensor: "b", found: "offset 96", expected: "64" },
    ],
    ["a tensor twice", { ...right, tensors: [f32, { ...q8, name: "a" }] }, { tensor: "a" }],
    [
      "too few bytes",
      { ...right, data: 100 },
      { tensor: "b", message: expect.stringContaining("truncated") },
    ],
    [
      "bytes behind",
      { ...right, data: 500 },
      { message: expect.stringContaining("bytes follow the last tensor") },
    ],
  ];
  test.each(cases)("%s", async (_, contents, expected) => {
    const error = await read(contents).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(CheckpointError);
    expect(error).toMatchObject({ file: "model.gguf", ...expected });
  });

  test("any beginning of a file", async () => {
    const whole = ggufBytes(right);
    for (let length = 0; length < whole.length; length++) {
      await expect(readGguf(source(whole.slice(0, length))), String(length)).rejects.toBeInstanceOf(
        CheckpointError,
      );
    }
  });

  test("a file with any one byte changed is read or refused", async () => {
    const whole = ggufBytes({ ...right, data: 64 + 160 });
    const header = whole.length - 224;
    for (let i = 0; i < header; i++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const bytes = whole.slice();
        bytes[i] = (bytes[i] as number) ^ flip;
        const result = await readGguf(source(bytes)).catch((e: unknown) => e);
        if (result instanceof Error) expect(result, `byte ${i} ^ ${flip}`).toBeInstanceOf(CheckpointError);
      }
    }
  });

  test("a header beyond 256 MiB", async () => {
    const head = concat(
      new TextEncoder().encode("GGUF"),
      u32(3),
      u64(0),
      u64(1),
      text("k"),
      u32(8),
      u64(2 ** 29),
    );
    const huge = {
      name: "huge.gguf",
      size: async () => 2 ** 40,
      read: async (_: number, length: number) => concat(head, new Uint8Array(length - head.length)),
    };
    await expect(readGguf(huge)).rejects.toMatchObject({ code: "CHECKPOINT", file: "huge.gguf" });
  });
});
