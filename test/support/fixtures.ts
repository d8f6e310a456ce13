import { readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { MemorySource, readSafetensors } from "@mask-llava/models";
import { FileFolder } from "@mask-llava/models/node";

const root = fileURLToPath(new URL("../fixtures", import.meta.url));

/** The folder of a fixture. */
export function fixturePath(name: string): string {
  return path.join(root, name);
}

export interface Expected {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
}

/** A fixture of test/fixtures: a checkpoint folder with what Hugging Face transformers answered on it. */
export class Fixture {
  readonly folder: FileFolder;
  readonly path: string;
  /** expect.json. */
  // biome-ignore lint/suspicious/noExplicitAny: the scripts in test/reference say what is in it
  readonly json: any;
  readonly #tensors: ReadonlyMap<string, Expected>;

  private constructor(folder: FileFolder, at: string, tensors: ReadonlyMap<string, Expected>) {
    this.folder = folder;
    this.path = at;
    this.#tensors = tensors;
    this.json = JSON.parse(readFileSync(path.join(at, "expect.json"), "utf8"));
  }

  static async open(name: string): Promise<Fixture> {
    const at = fixturePath(name);
    const bytes = new Uint8Array(readFileSync(path.join(at, "expect.safetensors")));
    const header = await readSafetensors(new MemorySource("expect.safetensors", bytes));
    const tensors = new Map<string, Expected>();
    for (const [key, { shape, dtype, begin, end }] of header.tensors) {
      const raw = bytes.slice(begin, end).buffer;
      const data =
        dtype === "F32" ? new Float32Array(raw) : dtype === "I32" ? new Int32Array(raw) : new Uint8Array(raw);
      tensors.set(key, { shape, data });
    }
    return new Fixture(await FileFolder.open(at), at, tensors);
  }

  /** The path of a file in the fixture. */
  file(name: string): string {
    return path.join(this.path, name);
  }

  keys(): string[] {
    return [...this.#tensors.keys()];
  }

  expected(key: string): Expected {
    const tensor = this.#tensors.get(key);
    if (!tensor) throw new Error(`${this.path} has no ${key}; it has ${this.keys().join(", ")}`);
    return tensor;
  }

  floats(key: string): Float32Array {
    const { data } = this.expected(key);
    if (data instanceof Float32Array) return data;
    throw new Error(`${key} is not F32`);
  }

  /** Integer values, without the batch axis of a single row. */
  ids(key: string): number[] {
    const { data } = this.expected(key);
    if (data instanceof Int32Array) return [...data];
    throw new Error(`${key} is not I32`);
  }
}

/** ‖actual - expected‖₂ / ‖expected‖₂; infinite for other lengths or a NaN. */
export function relativeL2(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let difference = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    const e = expected[i] as number;
    difference += ((actual[i] as number) - e) ** 2;
    norm += e * e;
  }
  const result = Math.sqrt(difference / norm);
  return Number.isNaN(result) ? Number.POSITIVE_INFINITY : result;
}
