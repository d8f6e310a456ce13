/**
 * The safetensors format: u64 little-endian header length, a JSON header, then the tensors' bytes without gaps.
 * Checked as strictly as the format's reference implementation (huggingface/safetensors, `SafeTensors::deserialize`), plus
 * unique names.
 */
import type { ByteSource } from "./byte-source.ts";
import { CheckpointError, describe } from "./errors.ts";
import { type StoredDType, type StoredTensor, storedBytes } from "./stored-tensor.ts";
import { DuplicateKeyError, parseStrictJson } from "./strict-json.ts";

export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The reference implementation's bound; a 7B checkpoint's header has about 40 kB. */
const maxHeaderBytes = 100_000_000;

/** Reads and validates the header of `source`; no tensor data is read. */
export async function readSafetensors(source: ByteSource): Promise<SafetensorsHeader> {
  const file = source.name;
  const size = await source.size();
  if (size < 8) {
    throw new CheckpointError("too short for a safetensors file", {
      file,
      found: `${size} bytes`,
      expected: "at least 8",
    });
  }
  const prefix = await source.read(0, 8);
  const headerBytes = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (headerBytes > BigInt(maxHeaderBytes)) {
    throw new CheckpointError("the header length is not credible; this is not a safetensors file", {
      file,
      found: `${headerBytes} bytes`,
      expected: `at most ${maxHeaderBytes}`,
    });
  }
  const length = Number(headerBytes);
  if (8 + length > size) {
    throw new CheckpointError("the header runs past the end of the file", {
      file,
      found: `a header of ${length} bytes in a file of ${size}`,
    });
  }
  const header = parseHeader(await source.read(8, length), file);
  return validate(header, source, 8 + length, size);
}

function parseHeader(bytes: Uint8Array, file: string): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new CheckpointError("the header is not valid UTF-8", { file }, { cause });
  }
  let header: unknown;
  try {
    header = parseStrictJson(text);
  } catch (cause) {
    if (cause instanceof DuplicateKeyError) {
      throw new CheckpointError(`in the header, ${cause.message}`, { file, tensor: cause.key }, { cause });
    }
    throw new CheckpointError(
      `the header is not valid JSON: ${(cause as Error).message}`,
      { file },
      { cause },
    );
  }
  if (!isRecord(header)) {
    throw new CheckpointError("the header is not a JSON object", { file, found: describe(header) });
  }
  return header;
}

function validate(
  header: Record<string, unknown>,
  source: ByteSource,
  dataBegin: number,
  size: number,
): SafetensorsHeader {
  const metadata: Record<string, string> = {};
  const list: StoredTensor[] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === "__metadata__") readMetadata(entry, source.name, metadata);
    else list.push(readEntry(name, entry, source, dataBegin));
  }
  // empty tensors may share a place with the tensor that follows them
  list.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = dataBegin;
  let previous = "the header";
  for (const t of list) {
    if (t.begin !== at) {
      throw new CheckpointError(t.begin < at ? `overlaps ${previous}` : `leaves a hole after ${previous}`, {
        file: source.name,
        tensor: t.name,
        found: `data from byte ${t.begin - dataBegin}`,
        expected: `${at - dataBegin}`,
      });
    }
    at = t.end;
    previous = JSON.stringify(t.name);
  }
  if (at !== size) {
    throw new CheckpointError(at > size ? "the file is truncated" : "bytes follow the last tensor", {
      file: source.name,
      ...(at > size && list.length ? { tensor: (list.at(-1) as StoredTensor).name } : {}),
      found: `${size} bytes`,
      expected: `${at}`,
    });
  }
  return { tensors: new Map(list.map((t) => [t.name, t])), metadata };
}

function readMetadata(value: unknown, file: string, into: Record<string, string>): void {
  if (!isRecord(value)) {
    throw new CheckpointError("__metadata__ is not an object", { file, found: describe(value) });
  }
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") {
      throw new CheckpointError(`__metadata__.${key} is not a string`, { file, found: describe(text) });
    }
    into[key] = text;
  }
}

const entryFields = new Set(["dtype", "shape", "data_offsets"]);

function readEntry(name: string, entry: unknown, source: ByteSource, dataBegin: number): StoredTensor {
  const fail = (message: string, found?: string, expected?: string): never => {
    throw new CheckpointError(message, { file: source.name, tensor: name, found, expected });
  };
  if (!isRecord(entry)) return fail("is not described by an object", describe(entry));
  for (const field of Object.keys(entry)) {
    if (!entryFields.has(field)) fail(`has an unknown field ${JSON.stringify(field)}`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== "string" || !Object.hasOwn(storedBytes, dtype)) {
    return fail("has an unknown dtype", describe(dtype), Object.keys(storedBytes).join(", "));
  }
  if (!isSizes(shape)) {
    return fail("has a malformed shape", describe(shape), "a list of integers that are not negative");
  }
  if (!isSizes(offsets) || offsets.length !== 2) {
    return fail("has malformed data_offsets", describe(offsets), "[begin, end]");
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end) fail("ends before it begins", `data_offsets [${begin}, ${end}]`);
  // in big integers: the product of safe integers may not be one
  const bytes = shape.reduce((n, d) => n * BigInt(d), BigInt(storedBytes[dtype as StoredDType]));
  if (bytes !== BigInt(end - begin)) {
    fail(
      "its shape and dtype disagree with its data",
      `${end - begin} bytes`,
      `${bytes} for ${dtype} [${shape.join(", ")}]`,
    );
  }
  return {
    name,
    dtype: dtype as StoredDType,
    shape,
    source,
    begin: dataBegin + begin,
    end: dataBegin + end,
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((d) => Number.isSafeInteger(d) && (d as number) >= 0);
}
