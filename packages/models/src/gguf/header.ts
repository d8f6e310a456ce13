/**
 * The GGUF container (docs/gguf.md of ggml): header, metadata, tensor infos, aligned data. Checked as strictly as
 * safetensors files are: every tensor within the file, none over another, nothing unaccounted for.
 *
 * `@huggingface/gguf` (0.4.6) reads this header too, and test/gguf.test.ts holds ours against it. It is not used here, as it
 * changes what it reads: a string loses a leading U+FEFF, so that tokens of SentencePiece vocabularies become equal; what a
 * truncated file lacks is read as zeros; an array's last string is cut where it crosses the end of a fetched chunk; of two
 * equal keys the last is kept.
 */
import { blockFormats, isBlockFormat } from "@mask-llava/runtime";
import { type ByteSource, CheckpointError, storedBytes } from "../checkpoint/index.ts";
import { type GgufValue, MetadataReader, MoreBytes } from "./metadata-reader.ts";
import { type GgufType, ggufTypes, otherTypes } from "./types.ts";

/** One tensor in a file. */
export interface GgufTensor {
  readonly name: string;
  readonly type: GgufType;
  /** Row-major, as everywhere here; files list the axes the other way round. */
  readonly shape: readonly number[];
  /** Absolute byte range [begin, end) in the file. */
  readonly begin: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of their data. */
  readonly tensors: readonly GgufTensor[];
}

const magic = 0x46554747; // "GGUF"
const defaultAlignment = 32;
const maxAxes = 4;
/** A vocabulary of 256k tokens with its merges takes about 16 MB. */
const maxHeaderBytes = 256 * 2 ** 20;
const firstBytes = 2 ** 20;

/** Reads and validates the header of `source`; no tensor data is read. */
export async function readGguf(source: ByteSource): Promise<GgufHeader> {
  const size = await source.size();
  for (let length = Math.min(size, firstBytes); ; ) {
    const bytes = await source.read(0, length);
    try {
      return parse(new MetadataReader(source.name, bytes, size), size);
    } catch (error) {
      if (!(error instanceof MoreBytes)) throw error;
      if (error.needed > maxHeaderBytes) {
        throw new CheckpointError("the header is too long to be credible", {
          file: source.name,
          found: `at least ${error.needed} bytes`,
          expected: `at most ${maxHeaderBytes}`,
        });
      }
      // again from the start with twice as much: each byte is parsed twice on average, and nothing is half read
      length = Math.min(size, Math.max(2 * length, error.needed));
    }
  }
}

function parse(reader: MetadataReader, size: number): GgufHeader {
  const { file } = reader;
  checkMagic(reader);
  const tensorCount = reader.count("the number of tensors");
  const pairCount = reader.count("the number of metadata pairs");
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < pairCount; i++) {
    const key = reader.string(`the key of metadata pair ${i}`);
    if (metadata.has(key)) {
      throw new CheckpointError(`the metadata key ${JSON.stringify(key)} occurs twice`, { file });
    }
    metadata.set(key, reader.value(key));
  }
  const alignment = alignmentOf(metadata, file);
  const infos: TensorInfo[] = [];
  for (let i = 0; i < tensorCount; i++) infos.push(readInfo(reader, i));
  const dataBegin = roundUp(reader.at, alignment);
  return { metadata, tensors: place(infos, file, dataBegin, alignment, size) };
}

function checkMagic(reader: MetadataReader): void {
  const { file } = reader;
  const found = reader.u32("the magic number");
  if (found !== magic) {
    throw new CheckpointError("is not a GGUF file", {
      file,
      found: `bytes ${found
        .toString(16)
        .padStart(8, "0")
        .replace(/(..)(..)(..)(..)/, "$4 $3 $2 $1")}`,
      expected: "47 47 55 46 (GGUF)",
    });
  }
  const version = reader.u32("the version");
  if (version === 2 || version === 3) return;
  const bigEndian = version !== 0 && version % 2 ** 24 === 0;
  throw new CheckpointError(
    bigEndian ? "is a big-endian GGUF file, which is not read" : "is of a GGUF version that is not read",
    { file, found: `version ${bigEndian ? version / 2 ** 24 : version}`, expected: "2 or 3" },
  );
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>, file: string): number {
  const value = metadata.get("general.alignment") ?? defaultAlignment;
  if (typeof value === "number" && Number.isInteger(value) && value > 0 && value % 8 === 0) return value;
  throw new CheckpointError("general.alignment is not an alignment", {
    file,
    found: String(value),
    expected: "a multiple of 8",
  });
}

interface TensorInfo {
  readonly name: string;
  readonly type: GgufType;
  readonly shape: readonly number[];
  /** From the start of the data. */
  readonly offset: number;
  readonly bytes: number;
}

function readInfo(reader: MetadataReader, index: number): TensorInfo {
  const { file } = reader;
  const name = reader.string(`the name of tensor ${index}`);
  const what = `the description of tensor ${JSON.stringify(name)}`;
  const axes = reader.u32(what);
  if (axes < 1 || axes > maxAxes) {
    throw new CheckpointError("has a number of axes that no tensor has", {
      file,
      tensor: name,
      found: String(axes),
      expected: `1 to ${maxAxes}`,
    });
  }
  const shape = Array.from({ length: axes }, () => reader.count(what)).reverse();
  const number = reader.u32(what);
  const type = ggufTypes[number];
  if (!type) {
    throw new CheckpointError("is of a type that is not read", {
      file,
      tensor: name,
      found: otherTypes[number] ?? `type ${number}`,
      expected: Object.values(ggufTypes).join(", "),
    });
  }
  return { name, type, shape, offset: reader.count(what), bytes: byteCount(name, type, shape, file) };
}

function byteCount(name: string, type: GgufType, shape: readonly number[], file: string): number {
  const block = isBlockFormat(type) ? blockFormats[type] : { weights: 1, bytes: storedBytes[type] };
  const row = shape.at(-1) as number;
  const found = `[${shape.join(", ")}]`;
  if (shape.some((d) => d < 1)) {
    throw new CheckpointError("has an axis without elements", { file, tensor: name, found });
  }
  if (row % block.weights !== 0) {
    throw new CheckpointError(`its rows are no whole blocks of ${type}`, {
      file,
      tensor: name,
      found,
      expected: `rows of a multiple of ${block.weights}`,
    });
  }
  // in big integers: the product of safe integers may not be one
  const elements = shape.reduce((n, d) => n * BigInt(d), 1n);
  const bytes = (elements / BigInt(block.weights)) * BigInt(block.bytes);
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new CheckpointError("has a size that is not credible", { file, tensor: name, found });
  }
  return Number(bytes);
}

/** The infos with their places, which must follow each other with only padding between and end with the file. */
function place(
  infos: readonly TensorInfo[],
  file: string,
  dataBegin: number,
  alignment: number,
  size: number,
): GgufTensor[] {
  const names = new Set<string>();
  for (const { name } of infos) {
    if (names.has(name)) throw new CheckpointError("is listed twice", { file, tensor: name });
    names.add(name);
  }
  let at = 0;
  let previous = "the header";
  const tensors = [...infos]
    .sort((a, b) => a.offset - b.offset)
    .map(({ name, type, shape, offset, bytes }) => {
      if (offset % alignment !== 0) {
        throw new CheckpointError("its data is not aligned", {
          file,
          tensor: name,
          found: `offset ${offset}`,
          expected: `a multiple of ${alignment}`,
        });
      }
      if (offset !== at) {
        throw new CheckpointError(offset < at ? `overlaps ${previous}` : `leaves a hole after ${previous}`, {
          file,
          tensor: name,
          found: `offset ${offset}`,
          expected: String(at),
        });
      }
      const begin = dataBegin + offset;
      if (begin + bytes > size) {
        throw new CheckpointError("the file is truncated", {
          file,
          tensor: name,
          found: `${size} bytes`,
          expected: `at least ${begin + bytes}`,
        });
      }
      at = roundUp(offset + bytes, alignment);
      previous = JSON.stringify(name);
      return { name, type, shape, begin, end: begin + bytes };
    });
  const end = dataBegin + at; // with the last tensor's padding, which writers may leave out
  if (tensors.length > 0 && size > end) {
    throw new CheckpointError("bytes follow the last tensor", {
      file,
      found: `${size} bytes`,
      expected: `at most ${end}`,
    });
  }
  return tensors;
}

const roundUp = (n: number, to: number): number => Math.ceil(n / to) * to;
