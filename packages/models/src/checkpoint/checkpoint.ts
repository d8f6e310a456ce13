import {
  byteLength,
  type Device,
  DisposedError,
  type DType,
  encodeFloat16,
  formatBytes,
  formatShape,
  isBlockFormat,
  isQuantized,
  quantizedLayout,
  type Shape,
  sizeOf,
  type Tensor,
  type TensorSpec,
  unpackBlocksHost,
} from "@mask-llava/runtime";
import { CheckpointError } from "./errors.ts";
import type { Folder } from "./folder.ts";
import { isElementType, type StoredTensor, storedBytes, withoutInterleaving } from "./stored-tensor.ts";
import { type RenameRule, TensorIndex } from "./tensor-index.ts";
import { convertStored, throwIfAborted, type Upload, type UploadOptions, upload } from "./upload.ts";
import { uploadDevice } from "./upload-device.ts";
import { canLoad, defaultTarget, floatDType, type LoadDType } from "./weight-dtype.ts";
import { type Derivation, type TakeOptions, type WeightStore, Weights } from "./weights.ts";

export interface CheckpointOptions {
  /** How floating-point weights are held on the GPU where `take` names no type; default f32. */
  readonly dtype?: LoadDType;
  /** Canonical names that may stay untaken, e.g. `/\.position_ids$/`. */
  readonly ignore?: readonly RegExp[];
}

interface PendingDerivation {
  readonly target: Tensor;
  readonly inputs: readonly (readonly [key: string, stored: StoredTensor])[];
  readonly compute: Derivation["compute"];
}

/** Bound on what is converted whole on the host: inputs of one derivation, or one `takeHost`, in f32. */
const maxHostBytes = 64 * 2 ** 20;

/**
 * A network's weights on one device. The checkpoint owns every tensor that its cursor hands out. Taking validates and
 * reserves GPU memory at once; `load` transfers the data. What is neither taken nor ignored makes `load` fail.
 */
export class Checkpoint implements WeightStore, Disposable {
  readonly index: TensorIndex;
  readonly device: Device;
  readonly dtype: LoadDType;
  /** Cursor at the root of the names. */
  readonly weights: Weights;
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly #ignore: readonly RegExp[];
  readonly #taken = new Set<string>();
  readonly #tensors = new Map<string, Tensor>();
  #uploads: Upload[] = [];
  #derivations: PendingDerivation[] = [];
  #disposed = false;

  /** Throws an OutOfMemoryError where the weights in `dtype` would exceed the device's budget; allocates nothing yet. */
  constructor(device: Device, index: TensorIndex, options: CheckpointOptions = {}) {
    this.device = device;
    this.index = index;
    this.dtype = options.dtype ?? "f32";
    this.weights = new Weights(this, "");
    this.shapes = new Map([...index.tensors].map(([name, { shape }]) => [name, shape]));
    this.#ignore = options.ignore ?? [];
    device.buffers.require(this.bytes(), `the weights of ${index.name} in ${this.dtype}`);
  }

  /** Reads the headers of the safetensors files in `folder` and checks that the weights fit the memory budget. */
  static async open(
    device: Device,
    folder: Folder,
    options: CheckpointOptions & { rename?: readonly RenameRule[]; stem?: string } = {},
  ): Promise<Checkpoint> {
    const index = await TensorIndex.open(folder, options);
    try {
      return new Checkpoint(device, index, options);
    } catch (error) {
      await index.close();
      throw error;
    }
  }

  /** As `weightBytes`, of all tensors that are not ignored. */
  bytes(dtype: LoadDType = this.dtype): number {
    return weightBytes(this.index, dtype, this.#ignore);
  }

  /** Names that were neither taken nor ignored. */
  untaken(): string[] {
    return [...this.shapes.keys()].filter((name) => !this.#taken.has(name) && !matches(this.#ignore, name));
  }

  /** Throws a CheckpointError that lists what was neither taken nor ignored. */
  assertAllTaken(): void {
    const left = this.untaken();
    if (left.length === 0) return;
    const more = left.length > 8 ? ` and ${left.length - 8} more` : "";
    throw new CheckpointError(
      `holds tensors that the network does not have: ${left.slice(0, 8).join(", ")}${more}`,
      { file: this.index.name },
    );
  }

  /**
   * Transfers what was taken since the last `load` and waits until it is on the GPU. On failure or abort (CancelledError) all
   * weights are released.
   */
  async load(options: UploadOptions = {}): Promise<void> {
    this.#checkLive();
    try {
      this.assertAllTaken();
      const uploads = this.#uploads;
      const derivations = this.#derivations;
      this.#uploads = [];
      this.#derivations = [];
      for (const derivation of derivations) {
        throwIfAborted(options.signal);
        await this.#compute(derivation);
      }
      using device = uploadDevice(this.device, uploads.length);
      await upload(device, uploads, options);
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /** Frees all weights and closes the files. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const tensor of this.#tensors.values()) tensor.dispose();
    this.#tensors.clear();
    this.#uploads = [];
    this.#derivations = [];
    this.index.close().catch(() => {}); // the files were only read: a failed close loses nothing
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  shape(name: string): Shape {
    return this.#find(name).shape;
  }

  typeOf(name: string, shape: Shape, options: TakeOptions = {}): DType {
    return this.#target(this.#find(name, shape), options);
  }

  take(name: string, shape: Shape, options: TakeOptions = {}): Tensor {
    const stored = this.#find(name, shape);
    const type = this.#target(stored, options);
    return this.#reserve([name], { shape: stored.shape, dtype: type, label: stored.name }, (target) => {
      this.#queueUpload(stored, target, 0);
    });
  }

  takeConcat(parts: readonly (readonly [name: string, shape: Shape])[], options: TakeOptions = {}): Tensor {
    const stored = parts.map(([name, shape]) => this.#find(name, shape));
    const [first] = stored;
    if (!first) throw new RangeError("takeConcat: no tensors");
    const type = this.#target(first, options);
    const rest = first.shape.slice(1);
    const refuse = (s: StoredTensor, why: string, found: string) => {
      const below = `${JSON.stringify(first.name)} of ${formatShape(first.shape)}`;
      throw new CheckpointError(`cannot stand below ${below}${why}`, {
        file: s.source.name,
        tensor: s.name,
        found,
      });
    };
    const starts: number[] = [];
    let rows = 0;
    let elements = 0;
    for (const s of stored) {
      const own = this.#target(s, options);
      if (own !== type) refuse(s, `, which is held as ${type}`, own);
      if (s.shape.length === 0 || formatShape(s.shape.slice(1)) !== formatShape(rest))
        refuse(s, "", formatShape(s.shape));
      const scaleBytes = isQuantized(s.dtype) ? rows * quantizedLayout(s.shape, s.dtype).scales.rowBytes : 0;
      if (scaleBytes % 4 !== 0) refuse(s, ": scales are written in whole words", formatShape(s.shape));
      starts.push(elements);
      rows += s.shape[0] as number;
      elements += sizeOf(s.shape);
    }
    const label = stored.map((s) => s.name).join(" + ");
    const spec = { shape: [rows, ...rest], dtype: type, label };
    const names = parts.map(([name]) => name);
    return this.#reserve(names, spec, (target) => {
      if (type === "f16" && starts.some((at) => at % 2)) {
        // writes are of whole words, and a part starts in the middle of one
        this.#queueDerivation(
          target,
          stored.map((s, i) => [String(i), s]),
          (inputs) => concat(inputs, elements),
        );
      } else {
        for (const [i, s] of stored.entries()) this.#queueUpload(s, target, starts[i] as number);
      }
    });
  }

  async takeHost(name: string, shape: Shape): Promise<Float32Array> {
    const stored = this.#find(name, shape);
    this.#target(stored, { dtype: "f32" });
    this.#taken.add(name);
    checkHostBytes([stored]);
    return readHost(stored);
  }

  derive({ label, shape, dtype, from, compute }: Derivation): Tensor {
    const inputs = Object.entries(from).map(
      ([key, input]) => [key, this.#find(input.name, input.shape)] as const,
    );
    for (const [, stored] of inputs) this.#target(stored, { dtype: "f32" });
    const spec = { shape, dtype: dtype ?? floatDType(this.dtype), label };
    const names = Object.values(from).map(({ name }) => name);
    return this.#reserve(names, spec, (target) => this.#queueDerivation(target, inputs, compute));
  }

  #queueUpload(stored: StoredTensor, target: Tensor, firstElement: number): void {
    const { dtype } = target;
    if (!isQuantized(stored.dtype)) {
      this.#uploads.push({ stored, target, dtype, firstElement });
      return;
    }
    // planes go where they belong as they are
    const { quants, scales } = quantizedLayout(target.shape, stored.dtype);
    const row = firstElement / (stored.shape.at(-1) ?? 1);
    const plane = (range: { begin: number; end: number }, { offset, rowBytes }: typeof quants) =>
      this.#uploads.push({
        stored: { ...stored, begin: range.begin, end: range.end },
        target,
        dtype,
        firstElement,
        asIs: offset + row * rowBytes,
      });
    plane(stored, quants);
    if (stored.scales) plane(stored.scales, scales);
  }

  #queueDerivation(
    target: Tensor,
    inputs: readonly (readonly [string, StoredTensor])[],
    compute: Derivation["compute"],
  ): void {
    checkHostBytes(inputs.map(([, stored]) => stored));
    this.#derivations.push({ target, inputs, compute });
  }

  /** The tensor that was made from `names` under this label and type before, or a new one that `fill` queues. */
  #reserve(names: readonly string[], spec: TensorSpec, fill: (target: Tensor) => void): Tensor {
    this.#checkLive();
    for (const name of names) this.#taken.add(name);
    const id = JSON.stringify([spec.dtype, spec.label, names]);
    const before = this.#tensors.get(id);
    if (before) return before;
    const tensor = this.device.tensor(spec);
    this.#tensors.set(id, tensor);
    fill(tensor);
    return tensor;
  }

  #find(name: string, shape?: Shape): StoredTensor {
    const stored = this.index.tensors.get(name);
    if (!stored) {
      throw new CheckpointError("is missing", {
        file: this.index.name,
        tensor: name,
        expected: shape && formatShape(shape),
      });
    }
    if (shape && formatShape(stored.shape) !== formatShape(shape)) {
      throw new CheckpointError(
        `has another shape than the network${stored.name === name ? "" : `'s ${name}`}`,
        {
          file: stored.source.name,
          tensor: stored.name,
          found: formatShape(stored.shape),
          expected: formatShape(shape),
        },
      );
    }
    return stored;
  }

  #target(stored: StoredTensor, { dtype, role }: TakeOptions): DType {
    const target = dtype ?? defaultTarget(stored.dtype, this.dtype, role);
    if (canLoad(stored.dtype, target)) return target;
    throw new CheckpointError(`cannot be loaded as ${target}`, {
      file: stored.source.name,
      tensor: stored.name,
      found: stored.dtype,
    });
  }

  async #compute({ target, inputs, compute }: PendingDerivation): Promise<void> {
    const values: Record<string, Float32Array> = {};
    for (const [key, stored] of inputs) values[key] = await readHost(stored);
    const result = compute(values);
    if (result.length !== target.size) {
      throw new RangeError(`${target}: the derivation gave ${result.length} elements for ${target.size}`);
    }
    this.device.write(target, target.dtype === "f16" ? encodeFloat16(result) : result);
    await this.device.idle();
  }

  #checkLive(): void {
    if (this.#disposed) throw new DisposedError(`the weights of ${this.index.name} were released`);
  }
}

/**
 * Bytes of GPU memory for the tensors of `index` that are not ignored. Under q8 and q4 it is the network that says which are
 * quantised, so that this is the least that it can be: every matrix is.
 */
export function weightBytes(index: TensorIndex, dtype: LoadDType, ignore: readonly RegExp[] = []): number {
  let bytes = 0;
  for (const [name, { shape, dtype: stored }] of index.tensors) {
    const role = shape.length === 2 ? "linear" : undefined;
    if (!matches(ignore, name)) bytes += byteLength({ shape, dtype: defaultTarget(stored, dtype, role) });
  }
  return bytes;
}

function matches(patterns: readonly RegExp[], name: string): boolean {
  return patterns.some((p) => name.search(p) >= 0);
}

async function readHost(stored: StoredTensor): Promise<Float32Array> {
  const { dtype, headRows, shape } = stored;
  const bytes = await stored.source.read(stored.begin, stored.end - stored.begin);
  const ordered = headRows ? withoutInterleaving(bytes, bytes.byteLength / (shape[0] ?? 1), headRows) : bytes;
  if (isBlockFormat(dtype)) return unpackBlocksHost(ordered, dtype);
  const out = new ArrayBuffer(sizeOf(shape) * 4);
  const values = convertStored(stored, "f32", ordered, out) as Float32Array;
  return values.buffer === out ? values : values.slice(); // not a view of a source's own memory
}

function checkHostBytes(stored: readonly StoredTensor[]): void {
  const bytes = stored.reduce((n, s) => n + hostBytes(s), 0);
  if (bytes <= maxHostBytes) return;
  throw new CheckpointError("is too large to be converted on the host", {
    file: (stored[0] as StoredTensor).source.name,
    tensor: (stored[0] as StoredTensor).name,
    found: formatBytes(bytes),
    expected: `at most ${formatBytes(maxHostBytes)}`,
  });
}

/** Bytes of a tensor's values in f32. */
function hostBytes({ dtype, begin, end, shape }: StoredTensor): number {
  return isElementType(dtype) ? ((end - begin) / storedBytes[dtype]) * 4 : sizeOf(shape) * 4;
}

/** The inputs "0", "1", … one after the other. */
function concat(inputs: Readonly<Record<string, Float32Array>>, elements: number): Float32Array {
  const out = new Float32Array(elements);
  let at = 0;
  for (let i = 0; inputs[i]; i++) {
    const part = inputs[i] as Float32Array;
    out.set(part, at);
    at += part.length;
  }
  return out;
}
