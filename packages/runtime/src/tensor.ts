import { DisposedError, DTypeError, RuntimeError, ShapeError } from "./errors.ts";
import { isQuantized, type QuantizedDType, quantizedLayout } from "./quantized.ts";

/** Element types in GPU memory. Activations are f32; f16 is a storage type of weights and KV caches. */
export type ElementDType = "f32" | "f16" | "i32" | "u32";
/** What a tensor holds: elements, or weights that were quantised in groups (quantized.ts). */
export type DType = ElementDType | QuantizedDType;
export type Shape = readonly number[];

/** What is known of a tensor without its data. Tensors are contiguous and row-major. */
export interface TensorSpec {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly label?: string | undefined;
}

const elementBytes: Readonly<Record<ElementDType, number>> = { f32: 4, f16: 2, i32: 4, u32: 4 };

/** Throws a DTypeError for quantised types, whose elements have no bytes of their own: ops that move elements refuse them so. */
export function bytesPerElement(dtype: DType): number {
  if (isQuantized(dtype)) throw new DTypeError(`${dtype}: a quantised weight can not be moved on its own`);
  return elementBytes[dtype];
}

export function sizeOf(shape: Shape): number {
  let n = 1;
  for (const d of shape) n *= d;
  return n;
}

/** Bytes of a tensor's data, without padding. */
export function dataBytes({ shape, dtype }: TensorSpec): number {
  if (!isQuantized(dtype)) return sizeOf(shape) * elementBytes[dtype];
  const { quants, scales } = quantizedLayout(shape, dtype);
  return quants.bytes + scales.bytes;
}

/** Bytes of a tensor in memory: its data, padded to whole vec4<f32>s so that any kernel may read it as such. */
export function byteLength(spec: TensorSpec): number {
  if (isQuantized(spec.dtype)) return quantizedLayout(spec.shape, spec.dtype).bytes;
  return Math.max(16, Math.ceil(dataBytes(spec) / 16) * 16);
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

export function formatSpec(spec: TensorSpec): string {
  return `${spec.label ? `${spec.label} ` : ""}${spec.dtype}${formatShape(spec.shape)}`;
}

export function checkShape(shape: Shape, what: string): void {
  for (const d of shape) {
    if (!Number.isSafeInteger(d) || d < 0)
      throw new ShapeError(`${what}: ${formatShape(shape)} is not a shape`);
  }
}

/**
 * Where a tensor's bytes live. The owner decides when they are released: the caller (`device.tensor`), a checkpoint,
 * or a Program (intermediates and outputs; their buffer is known once the Program is built).
 */
export interface Storage {
  readonly bytes: number;
  readonly label: string;
  /** The buffer, or undefined before a Program is built or after release. */
  readonly buffer: GPUBuffer | undefined;
  readonly state: "planned" | "live" | "released";
  /** The object whose dispose() releases the storage; undefined where the tensor's own dispose() does. */
  readonly owner: object | undefined;
  release(): void;
}

export class Tensor implements TensorSpec, Disposable {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly label: string;
  readonly storage: Storage;

  constructor(spec: TensorSpec, storage: Storage) {
    checkShape(spec.shape, spec.label ?? "tensor");
    this.shape = spec.shape;
    this.dtype = spec.dtype;
    this.label = spec.label ?? storage.label;
    this.storage = storage;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  /** The same data under another shape of the same size; -1 in one place is inferred. Shares storage. */
  reshape(shape: Shape): Tensor {
    const hole = shape.indexOf(-1);
    let full = shape;
    if (hole >= 0) {
      const rest = sizeOf(shape.filter((_, i) => i !== hole));
      full = shape.map((d, i) => (i === hole ? this.size / rest : d));
    }
    if (sizeOf(full) !== this.size || full.some((d) => !Number.isInteger(d))) {
      throw new ShapeError(`reshape: ${formatSpec(this)} does not fit ${formatShape(shape)}`);
    }
    if (isQuantized(this.dtype) && full.at(-1) !== this.shape.at(-1)) {
      throw new ShapeError(`reshape: ${formatSpec(this)} to ${formatShape(shape)} would cut its rows anew`);
    }
    return new Tensor({ shape: full, dtype: this.dtype, label: this.label }, this.storage);
  }

  /** The GPU buffer that holds the data from byte 0. Throws after release or before the Program is built. */
  buffer(): GPUBuffer {
    const { buffer, state } = this.storage;
    if (buffer && state === "live") return buffer;
    throw new DisposedError(
      state === "planned"
        ? `${formatSpec(this)} belongs to a program that is not built yet`
        : `${formatSpec(this)} was used after its memory was released`,
    );
  }

  dispose(): void {
    if (this.storage.owner) {
      throw new RuntimeError(
        "OWNER",
        `${formatSpec(this)} is owned by a program or checkpoint: dispose that`,
      );
    }
    this.storage.release();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  toString(): string {
    return formatSpec(this);
  }
}
