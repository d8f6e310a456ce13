import { byteLength, type DType, formatShape, type Shape, sizeOf, Tensor } from "@mask-llava/runtime";
import { canConvert, defaultTarget } from "../checkpoint/convert.ts";
import {
  type Derivation,
  type FloatDType,
  type StoredTensor,
  type TensorIndex,
  type WeightStore,
  Weights,
} from "../checkpoint/index.ts";

/** Memory that is never there: enough for a network to be put together, not for it to run. */
function phantom(label: string, shape: Shape, dtype: DType): Tensor {
  const bytes = byteLength({ shape, dtype });
  return new Tensor(
    { shape, dtype, label },
    { bytes, label, buffer: undefined, state: "released", owner: undefined, release() {} },
  );
}

/**
 * A checkpoint's weights without a device. A network that is constructed with its cursor tells what it would take, how
 * much GPU memory that would need, and what is wrong with the files; nothing is read but headers.
 */
export class DryWeights implements WeightStore {
  readonly weights: Weights;
  readonly shapes: ReadonlyMap<string, Shape>;
  /** Canonical names that were asked for. */
  readonly taken = new Set<string>();
  /** What `Checkpoint` would refuse, all of it rather than the first. */
  readonly problems: string[] = [];
  readonly #index: TensorIndex;
  readonly #dtype: FloatDType;
  readonly #tensors = new Map<string, Tensor>();

  constructor(index: TensorIndex, dtype: FloatDType) {
    this.#index = index;
    this.#dtype = dtype;
    this.weights = new Weights(this, "");
    this.shapes = new Map([...index.tensors].map(([name, { shape }]) => [name, shape]));
  }

  /** GPU memory of what was taken. */
  get bytes(): number {
    return [...this.#tensors.values()].reduce((sum, tensor) => sum + byteLength(tensor), 0);
  }

  shape(name: string): Shape {
    return this.#find(name)?.shape ?? [];
  }

  take(name: string, shape: Shape, dtype?: DType): Tensor {
    return this.#reserve(name, shape, this.#check(name, shape, dtype));
  }

  takeConcat(parts: readonly (readonly [name: string, shape: Shape])[], dtype?: DType): Tensor {
    const types = parts.map(([name, shape]) => this.#check(name, shape, dtype));
    const rows = parts.reduce((sum, [, [first = 1]]) => sum + first, 0);
    const label = parts.map(([name]) => name).join(" + ");
    return this.#reserve(label, [rows, ...(parts[0]?.[1].slice(1) ?? [])], types[0] ?? this.#dtype);
  }

  async takeHost(name: string, shape: Shape): Promise<Float32Array> {
    this.#check(name, shape, "f32");
    return new Float32Array(sizeOf(shape));
  }

  derive({ label, shape, dtype, from }: Derivation): Tensor {
    for (const input of Object.values(from)) this.#check(input.name, input.shape, "f32");
    return this.#reserve(label, shape, dtype ?? this.#dtype);
  }

  #reserve(name: string, shape: Shape, dtype: DType): Tensor {
    const key = `${dtype} ${name}`;
    const tensor = this.#tensors.get(key) ?? phantom(name, shape, dtype);
    this.#tensors.set(key, tensor);
    return tensor;
  }

  #find(name: string): StoredTensor | undefined {
    this.taken.add(name);
    return this.#index.tensors.get(name);
  }

  #check(name: string, shape: Shape, dtype: DType | undefined): DType {
    const stored = this.#find(name);
    if (!stored) {
      this.problems.push(`tensor ${JSON.stringify(name)} is missing (expected ${formatShape(shape)})`);
      return dtype ?? this.#dtype;
    }
    if (formatShape(stored.shape) !== formatShape(shape)) {
      this.problems.push(
        `tensor ${JSON.stringify(stored.name)} has another shape (found ${formatShape(stored.shape)}, expected ${formatShape(shape)})`,
      );
    }
    const target = dtype ?? defaultTarget(stored.dtype, this.#dtype);
    if (!canConvert(stored.dtype, target)) {
      this.problems.push(
        `tensor ${JSON.stringify(stored.name)} cannot be loaded as ${target} (found ${stored.dtype})`,
      );
    }
    return target;
  }
}
