import { ConfigError, describe } from "../checkpoint/errors.ts";
import type { GgufValue } from "./metadata-reader.ts";

/** 2^31 - 1: counts that configurations hold are 32-bit. */
const maxCount = 2 ** 31 - 1;

/** Typed access to a file's metadata. Throws ConfigErrors that name the file and the key. */
export class GgufMetadata {
  readonly file: string;
  readonly #values: ReadonlyMap<string, GgufValue>;

  constructor(file: string, values: ReadonlyMap<string, GgufValue>) {
    this.file = file;
    this.#values = values;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** A ConfigError about `key`. */
  error(key: string, message: string, expected?: string): ConfigError {
    const value = this.#values.get(key);
    const found = value === undefined ? "nothing" : describe(ArrayBuffer.isView(value) ? [...value] : value);
    return new ConfigError(this.file, key, message, { found, expected });
  }

  optionalString(key: string): string | undefined {
    return this.#optional(key, "a string", (value) => (typeof value === "string" ? value : undefined));
  }

  string(key: string): string {
    return this.#required(key, "a string", this.optionalString(key));
  }

  optionalBoolean(key: string): boolean | undefined {
    return this.#optional(key, "a boolean", (value) => (typeof value === "boolean" ? value : undefined));
  }

  /** An integer of any width, from 0 (or `least`) to 2^31 - 1 (or `most`). */
  optionalCount(key: string, least = 0, most = maxCount): number | undefined {
    return this.#optional(key, `an integer from ${least} to ${most}`, (value) => {
      const number = typeof value === "bigint" ? Number(value) : value;
      const fits =
        typeof number === "number" && Number.isInteger(number) && number >= least && number <= most;
      return fits ? number : undefined;
    });
  }

  /** A positive integer, no larger than `most` where it is given. */
  count(key: string, most = maxCount): number {
    return this.#required(key, "a positive integer", this.optionalCount(key, 1, most));
  }

  /** A positive number. */
  optionalNumber(key: string): number | undefined {
    return this.#optional(key, "a number above 0", (value) =>
      typeof value === "number" && Number.isFinite(value) && value > 0 ? value : undefined,
    );
  }

  number(key: string): number {
    return this.#required(key, "a number above 0", this.optionalNumber(key));
  }

  optionalStrings(key: string): readonly string[] | undefined {
    return this.#optional(key, "a list of strings", (value) =>
      Array.isArray(value) && value.every((item) => typeof item === "string")
        ? (value as readonly string[])
        : undefined,
    );
  }

  strings(key: string): readonly string[] {
    return this.#required(key, "a list of strings", this.optionalStrings(key));
  }

  /** A list of numbers, of `length` where it is given. */
  optionalNumbers(key: string, length?: number): readonly number[] | undefined {
    const what = `a list of ${length === undefined ? "" : `${length} `}numbers`;
    return this.#optional(key, what, (value) => {
      if (!ArrayBuffer.isView(value)) return undefined;
      const list = Array.from(value as unknown as Iterable<number | bigint>, Number);
      const fits = (length === undefined || list.length === length) && list.every(Number.isFinite);
      return fits ? list : undefined;
    });
  }

  #optional<T>(key: string, what: string, read: (value: GgufValue) => T | undefined): T | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    const result = read(value);
    if (result === undefined) throw this.error(key, "has a value that does not fit", what);
    return result;
  }

  #required<T>(key: string, what: string, value: T | undefined): T {
    if (value === undefined) throw this.error(key, "is missing", what);
    return value;
  }
}
