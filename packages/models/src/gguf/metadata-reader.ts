import { CheckpointError } from "../checkpoint/index.ts";

/** A metadata value: integers of 64 bits are bigints, arrays of numbers typed arrays, of booleans bytes. */
export type GgufValue = string | number | bigint | boolean | NumberArray | readonly GgufValue[];

type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | BigUint64Array
  | BigInt64Array
  | Float64Array;

/** Parsing came to the end of the bytes at hand; at least `needed` of the file's first are needed to go on. */
export class MoreBytes extends Error {
  readonly needed: number;
  constructor(needed: number) {
    super("more bytes are needed");
    this.needed = needed;
  }
}

interface NumberType {
  readonly bytes: number;
  readonly read: (view: DataView, at: number) => number | bigint;
  readonly array: new (length: number) => NumberArray;
}

const numbers: Readonly<Record<number, NumberType>> = {
  0: { bytes: 1, read: (v, at) => v.getUint8(at), array: Uint8Array },
  1: { bytes: 1, read: (v, at) => v.getInt8(at), array: Int8Array },
  2: { bytes: 2, read: (v, at) => v.getUint16(at, true), array: Uint16Array },
  3: { bytes: 2, read: (v, at) => v.getInt16(at, true), array: Int16Array },
  4: { bytes: 4, read: (v, at) => v.getUint32(at, true), array: Uint32Array },
  5: { bytes: 4, read: (v, at) => v.getInt32(at, true), array: Int32Array },
  6: { bytes: 4, read: (v, at) => v.getFloat32(at, true), array: Float32Array },
  10: { bytes: 8, read: (v, at) => v.getBigUint64(at, true), array: BigUint64Array },
  11: { bytes: 8, read: (v, at) => v.getBigInt64(at, true), array: BigInt64Array },
  12: { bytes: 8, read: (v, at) => v.getFloat64(at, true), array: Float64Array },
};
const booleanType = 7;
const stringType = 8;
const arrayType = 9;

/** Arrays within arrays: more than anybody writes, and a bound on recursion. */
const maxDepth = 4;

/** Reads the primitives of a GGUF header from the first bytes of a file. */
export class MetadataReader {
  readonly file: string;
  at = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #size: number;
  // a mark at the start of a string is a part of it: vocabularies have tokens that begin with U+FEFF
  readonly #utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

  /** @param size bytes of the whole file, of which `bytes` are the first */
  constructor(file: string, bytes: Uint8Array, size: number) {
    this.file = file;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#size = size;
  }

  /** Moves over `length` bytes and returns where they begin. Throws MoreBytes, or a CheckpointError beyond the file's end. */
  skip(length: number, what: string): number {
    const start = this.at;
    const end = start + length;
    if (end > this.#size) {
      throw new CheckpointError(`the file ends early, within ${what}`, {
        file: this.file,
        found: `${this.#size} bytes`,
        expected: `at least ${end}`,
      });
    }
    if (end > this.#bytes.byteLength) throw new MoreBytes(end);
    this.at = end;
    return start;
  }

  u32(what: string): number {
    return this.#view.getUint32(this.skip(4, what), true);
  }

  /** A u64 that counts something in this file. Its bytes alone say nothing: what it counts must be there. */
  count(what: string): number {
    const value = this.#view.getBigUint64(this.skip(8, what), true);
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw new CheckpointError(`${what} is not credible`, { file: this.file, found: String(value) });
  }

  string(what: string): string {
    const length = this.count(`the length of ${what}`);
    const start = this.skip(length, what);
    try {
      return this.#utf8.decode(this.#bytes.subarray(start, start + length));
    } catch (cause) {
      throw new CheckpointError(`${what} is not valid UTF-8`, { file: this.file }, { cause });
    }
  }

  /** A value of the metadata pair `key`, with its type before it. */
  value(key: string): GgufValue {
    const what = `the value of ${JSON.stringify(key)}`;
    return this.#value(this.u32(what), what, 0);
  }

  #value(type: number, what: string, depth: number): GgufValue {
    const number = numbers[type];
    if (number) return number.read(this.#view, this.skip(number.bytes, what));
    if (type === stringType) return this.string(what);
    if (type === booleanType) return this.#booleans(1, what)[0] === 1;
    if (type === arrayType) return this.#array(what, depth);
    throw new CheckpointError(`${what} has an unknown type`, {
      file: this.file,
      found: String(type),
      expected: "0 to 12",
    });
  }

  #booleans(length: number, what: string): Uint8Array {
    const start = this.skip(length, what);
    const bytes = this.#bytes.slice(start, start + length);
    const wrong = bytes.find((byte) => byte > 1);
    if (wrong === undefined) return bytes;
    throw new CheckpointError(`${what} is not a boolean`, {
      file: this.file,
      found: String(wrong),
      expected: "0 or 1",
    });
  }

  #array(what: string, depth: number): GgufValue {
    if (depth >= maxDepth) {
      throw new CheckpointError(`${what} has arrays within arrays`, {
        file: this.file,
        found: `more than ${maxDepth} levels`,
      });
    }
    const type = this.u32(what);
    const length = this.count(`the length of ${what}`);
    const number = numbers[type];
    if (number) {
      const start = this.skip(length * number.bytes, what);
      const array = new number.array(length);
      for (let i = 0; i < length; i++) array[i] = number.read(this.#view, start + i * number.bytes) as never;
      return array;
    }
    if (type === booleanType) return this.#booleans(length, what);
    // element by element, so that a length which is not credible ends at the file's end
    const items: GgufValue[] = [];
    for (let i = 0; i < length; i++) items.push(this.#value(type, what, depth + 1));
    return items;
  }
}
