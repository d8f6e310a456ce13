import type { DType, Shape, Tensor } from "@mask-llava/runtime";
import type { FloatDType, WeightRole } from "./weight-dtype.ts";

/** A tensor computed on the host from stored ones, e.g. a convolution folded with its batch norm. */
export interface Derivation {
  readonly label: string;
  readonly shape: Shape;
  readonly dtype?: FloatDType;
  /** Inputs by the name that `compute` uses; tensor names are relative to the cursor. */
  readonly from: Readonly<Record<string, { readonly name: string; readonly shape: Shape }>>;
  /** Called once, by `load`, with every input in f32; returns the elements of `shape`. */
  readonly compute: (inputs: Readonly<Record<string, Float32Array>>) => Float32Array;
}

/** Gives out a checkpoint's tensors by their full names; implemented by Checkpoint. */
export interface WeightStore {
  /** Canonical name -> stored shape. */
  readonly shapes: ReadonlyMap<string, Shape>;
  shape(name: string): Shape;
  typeOf(name: string, shape: Shape, options?: TakeOptions): DType;
  take(name: string, shape: Shape, options?: TakeOptions): Tensor;
  takeConcat(parts: readonly (readonly [name: string, shape: Shape])[], options?: TakeOptions): Tensor;
  takeHost(name: string, shape: Shape): Promise<Float32Array>;
  derive(derivation: Derivation): Tensor;
}

export interface TakeOptions {
  /** GPU type; default: the checkpoint's for floats (in that `role`), i32 for integers. */
  readonly dtype?: DType;
  /** What the weight is for, where it may be quantised; without it, it never is. */
  readonly role?: WeightRole | undefined;
}

/** A strict cursor over a checkpoint's names. All names given to it are relative to its prefix. */
export class Weights {
  readonly #store: WeightStore;
  readonly #prefix: string;

  constructor(store: WeightStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  /** The full name of `name`. */
  path(name = ""): string {
    if (!this.#prefix) return name;
    return name ? `${this.#prefix}.${name}` : this.#prefix;
  }

  /** The cursor at `prefix` below this one: `w.at("encoder.layers.0")`. */
  at(prefix: string): Weights {
    return new Weights(this.#store, this.path(prefix));
  }

  /** Whether there is a tensor called `name`. */
  has(name: string): boolean {
    return this.#store.shapes.has(this.path(name));
  }

  /** Whether any tensor lies below `prefix`. */
  hasAny(prefix: string): boolean {
    const start = `${this.path(prefix)}.`;
    for (const name of this.#store.shapes.keys()) if (name.startsWith(start)) return true;
    return false;
  }

  /** The stored shape; throws a CheckpointError where the tensor is absent. */
  shape(name: string): Shape {
    return this.#store.shape(this.path(name));
  }

  /** The type of the GPU tensor that `take` would give; throws a CheckpointError where it would. */
  typeOf(name: string, shape: Shape, options: TakeOptions = {}): DType {
    return this.#store.typeOf(this.path(name), shape, options);
  }

  /**
   * The GPU tensor for a stored one, which the checkpoint owns and `load` fills. Taking it again gives the same tensor. Throws a
   * CheckpointError where it is absent or has another shape, an OutOfMemoryError where it does not fit.
   */
  take(name: string, shape: Shape, options: TakeOptions = {}): Tensor {
    return this.#store.take(this.path(name), shape, options);
  }

  /** Like `take`, or undefined where the checkpoint has no such tensor, e.g. optional biases. */
  takeOptional(name: string, shape: Shape, options: TakeOptions = {}): Tensor | undefined {
    return this.has(name) ? this.take(name, shape, options) : undefined;
  }

  /**
   * Several stored tensors one after the other along axis 0, as one GPU tensor: query, key and value projections. Throws a
   * CheckpointError where they differ in shape beyond axis 0, or would be of different types (`typeOf` tells).
   */
  takeConcat(parts: readonly (readonly [name: string, shape: Shape])[], options: TakeOptions = {}): Tensor {
    return this.#store.takeConcat(
      parts.map(([name, shape]) => [this.path(name), shape] as const),
      options,
    );
  }

  /** A small tensor's values on the host, in f32; read at once. */
  takeHost(name: string, shape: Shape): Promise<Float32Array> {
    return this.#store.takeHost(this.path(name), shape);
  }

  /** A GPU tensor that `load` computes on the host from small stored ones. */
  derive(derivation: Derivation): Tensor {
    const from = Object.fromEntries(
      Object.entries(derivation.from).map(([key, { name, shape }]) => [
        key,
        { name: this.path(name), shape },
      ]),
    );
    return this.#store.derive({ ...derivation, label: this.path(derivation.label), from });
  }
}
