import { describe, expect, test } from "vitest";
import { MemorySource } from "./byte-source.ts";
import { CheckpointError } from "./errors.ts";
import { readSafetensors } from "./safetensors.ts";
import { writeSafetensors } from "./write-safetensors.ts";

/** A file with the header `text` (as given, whatever it is) and `dataBytes` bytes of data. */
function file(text: string | Uint8Array, dataBytes: number, headerBytes?: bigint): Uint8Array {
  const header = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const bytes = new Uint8Array(8 + header.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, headerBytes ?? BigInt(header.length), true);
  bytes.set(header, 8);
  return bytes;
}

const entry = (dtype: unknown, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets });
const json = (tensors: unknown, dataBytes: number) => file(JSON.stringify(tensors), dataBytes);
const read = (bytes: Uint8Array) => readSafetensors(new MemorySource("x.safetensors", bytes));

const a = entry("F32", [2], [0, 8]);

/** What is wrong, the bytes, the tensor that the error names, and words of its message. */
const malformed: [string, Uint8Array, string | undefined, RegExp][] = [
  ["empty file", new Uint8Array(0), undefined, /too short.*found 0 bytes/],
  ["cut within the length", new Uint8Array(7), undefined, /too short.*found 7 bytes/],
  ["header length beyond the file", file("{}", 0, 3n), undefined, /runs past the end/],
  ["header length 2^63", file("{}", 0, 1n << 63n), undefined, /not credible/],
  ["header length just over the bound", file("{}", 0, 100_000_001n), undefined, /not credible/],
  [
    "a PNG",
    new Uint8Array([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0, 0, 0, 13]),
    undefined,
    /not a safetensors/,
  ],
  ["header of no bytes", file("", 0), undefined, /not valid JSON/],
  [
    "invalid UTF-8",
    file(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 0),
    undefined,
    /not valid UTF-8/,
  ],
  [
    "surrogate in UTF-8",
    file(new Uint8Array([0x22, 0xed, 0xa0, 0x80, 0x22]), 0),
    undefined,
    /not valid UTF-8/,
  ],
  ["byte order mark", file("\ufeff{}", 0), undefined, /not valid JSON/],
  ["not JSON", file("{a:1}", 0), undefined, /not valid JSON/],
  ["truncated JSON", file('{"a":', 0), undefined, /not valid JSON/],
  ["two documents", file("{}{}", 0), undefined, /not valid JSON/],
  ["array header", file("[]", 0), undefined, /not a JSON object/],
  ["null header", file("null", 0), undefined, /not a JSON object/],
  ["tensor given twice", file(`{"a":${JSON.stringify(a)},"a":${JSON.stringify(a)}}`, 8), "a", /occurs twice/],
  [
    "twice under escapes",
    file(`{"a":${JSON.stringify(a)},"\\u0061":${JSON.stringify(a)}}`, 8),
    "a",
    /occurs twice/,
  ],
  [
    "field given twice",
    file('{"a":{"dtype":"F32","dtype":"F16","shape":[2],"data_offsets":[0,8]}}', 8),
    "dtype",
    /twice/,
  ],
  ["entry is a number", json({ a: 1 }, 0), "a", /not described by an object/],
  ["entry is a list", json({ a: [] }, 0), "a", /not described by an object/],
  ["unknown field", json({ a: { ...a, stride: [1] } }, 8), "a", /unknown field "stride"/],
  ["no dtype", json({ a: { shape: [2], data_offsets: [0, 8] } }, 8), "a", /unknown dtype.*found nothing/],
  ["unknown dtype", json({ a: entry("F33", [2], [0, 8]) }, 8), "a", /unknown dtype.*"F33"/],
  ["dtype from the prototype", json({ a: entry("toString", [2], [0, 8]) }, 8), "a", /unknown dtype/],
  ["no shape", json({ a: { dtype: "F32", data_offsets: [0, 8] } }, 8), "a", /malformed shape/],
  ["negative dimension", json({ a: entry("F32", [-2], [0, 8]) }, 8), "a", /malformed shape.*\[-2\]/],
  ["fractional dimension", json({ a: entry("F32", [1.5], [0, 8]) }, 8), "a", /malformed shape/],
  ["dimension as text", json({ a: entry("F32", ["2"], [0, 8]) }, 8), "a", /malformed shape/],
  [
    "dimension beyond 2^53",
    file('{"a":{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,8]}}', 8),
    "a",
    /shape/,
  ],
  [
    "dimension 1e400",
    file('{"a":{"dtype":"F32","shape":[1e400],"data_offsets":[0,8]}}', 8),
    "a",
    /malformed shape/,
  ],
  [
    "product that wraps 2^64",
    json({ a: entry("U8", [2 ** 32, 2 ** 32], [0, 0]) }, 0),
    "a",
    /18446744073709551616/,
  ],
  [
    "product lost in doubles",
    json({ a: entry("U8", [2 ** 53 - 1, 3], [0, 8]) }, 8),
    "a",
    /shape and dtype disagree/,
  ],
  ["one offset", json({ a: entry("F32", [2], [0]) }, 8), "a", /malformed data_offsets/],
  ["negative offset", json({ a: entry("F32", [2], [-8, 0]) }, 8), "a", /malformed data_offsets/],
  ["ends before it begins", json({ a: entry("F32", [2], [8, 0]) }, 8), "a", /ends before it begins/],
  ["shape larger than data", json({ a: entry("F32", [3], [0, 8]) }, 8), "a", /found 8 bytes, expected 12/],
  ["shape smaller than data", json({ a: entry("F16", [2], [0, 8]) }, 8), "a", /found 8 bytes, expected 4/],
  ["scalar with two elements", json({ a: entry("F32", [], [0, 8]) }, 8), "a", /expected 4 for F32 \[\]/],
  ["full overlap", json({ a, b: a }, 8), "b", /overlaps "a"/],
  [
    "partial overlap",
    json({ a, b: entry("F32", [2], [4, 12]) }, 12),
    "b",
    /overlaps "a".*found data from byte 4, expected 8/,
  ],
  ["hole before the first", json({ a: entry("F32", [2], [4, 12]) }, 12), "a", /hole after the header/],
  ["hole between", json({ a, b: entry("U8", [1], [12, 13]) }, 13), "b", /hole after "a"/],
  ["truncated data", json({ a }, 7), "a", /truncated.*expected/],
  ["data past 2^52", json({ a: entry("U8", [2 ** 52], [0, 2 ** 52]) }, 4), "a", /truncated/],
  ["trailing byte", json({ a }, 9), undefined, /bytes follow the last tensor/],
  ["data without tensors", json({}, 1), undefined, /bytes follow the last tensor/],
  ["metadata is a list", json({ __metadata__: [], a }, 8), undefined, /__metadata__ is not an object/],
  [
    "metadata holds a number",
    json({ __metadata__: { format: 1 }, a }, 8),
    undefined,
    /__metadata__\.format is not a string/,
  ],
];

describe("readSafetensors rejects", () => {
  test.each(malformed)("%s", async (_, bytes, tensor, message) => {
    const error = await read(bytes).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as CheckpointError).message).toMatch(message);
    expect(error).toMatchObject({ file: "x.safetensors", tensor, code: "CHECKPOINT" });
  });

  test("every truncation of a good file", async () => {
    const good = writeSafetensors({
      w: { shape: [2, 3], data: new Float32Array(6).fill(1.5) },
      n: { shape: [], data: new BigInt64Array([7n]) },
    });
    for (let n = 0; n < good.length; n++) {
      await expect(read(good.slice(0, n)), `${n} bytes`).rejects.toBeInstanceOf(CheckpointError);
    }
  });
});

describe("readSafetensors accepts", () => {
  test("what the writer writes, in any of its types", async () => {
    const tensors = {
      "10": { shape: [2], data: new Float32Array([1, -2]) },
      "9": { shape: [3], data: new Uint16Array([0x3c00, 0, 0x8000]) },
      bytes: { shape: [5], data: new Uint8Array([1, 2, 3, 4, 5]) },
      ids: { shape: [1, 2], data: new Int32Array([-1, 7]) },
      long: { shape: [1], data: new BigInt64Array([-3n]) },
      none: { shape: [0, 4], data: new Float32Array(0) },
    };
    const bytes = writeSafetensors(tensors, { format: "pt", note: 'ü "quoted"' });
    const { tensors: read_, metadata } = await read(bytes);
    expect(metadata).toEqual({ format: "pt", note: 'ü "quoted"' });
    expect([...read_.keys()].sort()).toEqual(Object.keys(tensors).sort());
    for (const [name, { shape, data }] of Object.entries(tensors)) {
      const stored = read_.get(name);
      if (!stored) throw new Error(name);
      expect(stored.shape).toEqual(shape);
      expect(stored.begin % data.BYTES_PER_ELEMENT, `${name} is aligned`).toBe(0);
      const expected = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      expect(await stored.source.read(stored.begin, stored.end - stored.begin)).toEqual(expected);
    }
  });

  test("no tensors, padding after the header, tensors out of order, empty tensors between", async () => {
    expect((await read(json({}, 0))).tensors.size).toBe(0);
    expect((await read(file("{}      ", 0))).tensors.size).toBe(0);
    const { tensors } = await read(
      json(
        { z: entry("U8", [1], [8, 9]), e: entry("F64", [0], [8, 8]), a, s: entry("BOOL", [], [9, 10]) },
        10,
      ),
    );
    expect([...tensors.keys()]).toEqual(["a", "e", "z", "s"]);
  });

  test("equal names in different objects, and names like prototype members", async () => {
    const { tensors, metadata } = await read(
      file(
        `{"__metadata__":{"shape":"x"},"shape":${JSON.stringify(a)},"__proto__":${JSON.stringify(entry("U8", [1], [8, 9]))}}`,
        9,
      ),
    );
    expect([...tensors.keys()]).toEqual(["shape", "__proto__"]);
    expect(metadata).toEqual({ shape: "x" });
  });
});
