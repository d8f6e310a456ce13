import { byteLength, type DType, formatShape, type Shape, Tensor } from "@mask-llava/runtime";
import {
  type Derivation,
  floatDType,
  type LoadDType,
  type StoredTensor,
  type TakeOptions,
  type TensorIndex,
  type WeightStore,
  Weights,
} from "../checkpoint/index.ts";
import { canLoad, defaultTarget, weightTarget } from "../checkpoint/weight-dtype.ts";

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
  /** The GPU type of each tensor that was taken, by canonical name; of what `derive` and `takeHost` read: f32. */
  readonly targets = new Map<string, DType>();
  /** What `Checkpoint` would refuse, all of it rather than the first. */
  readonly problems: string[] = [];
  readonly #index: TensorIndex;
  readonly #dtype: LoadDType;
  readonly #tensors = new Map<string, Tensor>();

  constructor(index: TensorIndex, dtype: LoadDType) {
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

  typeOf(name: string, _: Shape, options: TakeOptions = {}): DType {
    const stored = this.#index.tensors.get(name);
    return stored ? this.#targetOf(stored, options) : this.#absentTarget(options);
  }

  take(name: string, shape: Shape, options: TakeOptions = {}): Tensor {
    return this.#reserve(name, shape, this.#check(name, shape, options));
  }

  takeConcat(parts: readonly (readonly [name: string, shape: Shape])[], options: TakeOptions = {}): Tensor {
    const [type, ...others] = parts.map(([name, shape]) => this.#check(name, shape, options));
    const label = parts.map(([name]) => name).join(" + ");
    if (others.some((other) => other !== type))
      this.problems.push(`tensors ${label} are not of one type (found ${[type, ...others].join(", ")})`);
    const rows = parts.reduce((sum, [, [first = 1]]) => sum + first, 0);
    return this.#reserve(label, [rows, ...(parts[0]?.[1].slice(1) ?? [])], type ?? floatDType(this.#dtype));
  }

  /** No values: they are for running the network, and their number, which config.json says, may be any. */
  async takeHost(name: string, shape: Shape): Promise<Float32Array> {
    this.#check(name, shape, { dtype: "f32" });
    return new Float32Array(0);
  }

  derive({ label, shape, dtype, from }: Derivation): Tensor {
    for (const input of Object.values(from)) this.#check(input.name, input.shape, { dtype: "f32" });
    return this.#reserve(label, shape, dtype ?? floatDType(this.#dtype));
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

  #targetOf({ dtype: stored }: StoredTensor, { dtype, role }: TakeOptions): DType {
    return dtype ?? defaultTarget(stored, this.#dtype, role);
  }

  #absentTarget({ dtype, role }: TakeOptions): DType {
    return dtype ?? weightTarget(this.#dtype === "stored" ? "f16" : this.#dtype, role);
  }

  #check(name: string, shape: Shape, options: TakeOptions): DType {
    const stored = this.#find(name);
    if (!stored) {
      this.problems.push(`tensor ${JSON.stringify(name)} is missing (expected ${formatShape(shape)})`);
      return this.#absentTarget(options);
    }
    if (formatShape(stored.shape) !== formatShape(shape)) {
      this.problems.push(
        `tensor ${JSON.stringify(stored.name)} has another shape (found ${formatShape(stored.shape)}, expected ${formatShape(shape)})`,
      );
    }
    const target = this.#targetOf(stored, options);
    if (!canLoad(stored.dtype, target)) {
      this.problems.push(
        `tensor ${JSON.stringify(stored.name)} cannot be loaded as ${target} (found ${stored.dtype})`,
      );
    }
    this.targets.set(name, target);
    return target;
  }
}
