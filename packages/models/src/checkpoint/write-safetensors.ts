import { CheckpointError } from "./errors.ts";
import { type StoredDType, storedBytes } from "./stored-tensor.ts";

/** An array to write. f16 is given as its bits. */
export interface HostTensorData {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array | BigInt64Array | Uint16Array;
}

function storedType(data: HostTensorData["data"]): StoredDType {
  if (data instanceof Float32Array) return "F32";
  if (data instanceof Int32Array) return "I32";
  if (data instanceof BigInt64Array) return "I64";
  return data instanceof Uint16Array ? "F16" : "U8";
}

/** A tensor of a file that is to be written. */
export interface TensorToWrite {
  readonly name: string;
  readonly dtype: StoredDType;
  readonly shape: readonly number[];
}

export interface SafetensorsLayout {
  /** Length, header and padding: what the file begins with. */
  readonly head: Uint8Array<ArrayBuffer>;
  /** Where each tensor's bytes begin in the file, in the order of the file. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Bytes of the file. */
  readonly size: number;
}

/**
 * Tensors are laid out by element size, largest first, then by name, as the format's reference implementation does, which
 * keeps every tensor aligned.
 */
export function layoutSafetensors(
  tensors: readonly TensorToWrite[],
  metadata?: Readonly<Record<string, string>>,
): SafetensorsLayout {
  const entries = [...tensors].sort(
    (a, b) => storedBytes[b.dtype] - storedBytes[a.dtype] || (a.name < b.name ? -1 : 1),
  );
  const header: [string, unknown][] = metadata ? [["__metadata__", metadata]] : [];
  const places = new Map<string, number>();
  let at = 0;
  for (const { name, shape, dtype } of entries) {
    if (name === "__metadata__") {
      throw new CheckpointError("this name is reserved", { file: "safetensors output", tensor: name });
    }
    const end = at + shape.reduce((n, d) => n * d, storedBytes[dtype] as number);
    header.push([name, { dtype, shape, data_offsets: [at, end] }]);
    places.set(name, at);
    at = end;
  }
  // member by member: an object would move names that look like integers to the front
  const json = `{${header.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const text = new TextEncoder().encode(json);
  const padded = Math.ceil(text.byteLength / 8) * 8; // spaces, so that the data is aligned
  const head = new Uint8Array(8 + padded).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(text, 8);
  return {
    head,
    offsets: new Map([...places].map(([name, begin]) => [name, head.byteLength + begin])),
    size: head.byteLength + at,
  };
}

/**
 * A safetensors file: Float32Array -> F32, Uint16Array -> F16 (bits), Int32Array -> I32, Uint8Array -> U8,
 * BigInt64Array -> I64. The pieces are to be written one after the other.
 */
export function encodeSafetensors(
  tensors: Readonly<Record<string, HostTensorData>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array[] {
  const entries = Object.entries(tensors).map(([name, { shape, data }]) => {
    const elements = shape.reduce((n, d) => n * d, 1);
    if (elements !== data.length) {
      throw new CheckpointError("its shape and data disagree", {
        file: "safetensors output",
        tensor: name,
        found: `${data.length} elements`,
        expected: `${elements} for [${shape.join(", ")}]`,
      });
    }
    return { name, shape, dtype: storedType(data) };
  });
  const { head, offsets } = layoutSafetensors(entries, metadata);
  const pieces = [...offsets.keys()].map((name) => {
    const { data } = tensors[name] as HostTensorData;
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  });
  return [head, ...pieces];
}

/** `encodeSafetensors` in one piece. */
export function writeSafetensors(
  tensors: Readonly<Record<string, HostTensorData>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const pieces = encodeSafetensors(tensors, metadata);
  const file = new Uint8Array(pieces.reduce((n, p) => n + p.byteLength, 0));
  let at = 0;
  for (const piece of pieces) {
    file.set(piece, at);
    at += piece.byteLength;
  }
  return file;
}
