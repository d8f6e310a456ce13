import {
  byteLength,
  type Device,
  type DType,
  fillUniform,
  type Shape,
  sizeOf,
  type Tensor,
} from "@mask-llava/runtime";
import { floatDType, type WeightDType, weightTarget } from "./weight-dtype.ts";
import { type Derivation, type TakeOptions, type WeightStore, Weights } from "./weights.ts";

/** Every name is there, but those that match: a network decides by names whether an optional tensor exists. */
class NamesBut extends Map<string, Shape> {
  readonly #absent: readonly RegExp[];

  constructor(absent: readonly RegExp[]) {
    super();
    this.#absent = absent;
  }

  override has(name: string): boolean {
    return !this.#absent.some((pattern) => pattern.test(name));
  }
}

/**
 * Weights of any architecture, made on the GPU and on no disk: for running real sizes. Matrices keep the variance of what
 * they multiply, gains of norms lie around 1. Owns what its cursor hands out.
 */
export class RandomWeights implements WeightStore, Disposable {
  readonly device: Device;
  readonly dtype: WeightDType;
  readonly weights: Weights;
  readonly shapes: ReadonlyMap<string, Shape>;
  readonly #seed: number;
  readonly #tensors = new Map<string, Tensor>();

  /** @param options.absent names of optional tensors that the network shall not have */
  constructor(
    device: Device,
    options: { dtype?: WeightDType; seed?: number; absent?: readonly RegExp[] } = {},
  ) {
    this.device = device;
    this.dtype = options.dtype ?? "f32";
    this.#seed = options.seed ?? 1;
    this.shapes = new NamesBut(options.absent ?? []);
    this.weights = new Weights(this, "");
  }

  /** Bytes of GPU memory handed out. */
  get bytes(): number {
    return [...this.#tensors.values()].reduce((sum, t) => sum + byteLength(t), 0);
  }

  /** Fills everything that was taken. */
  async load(): Promise<void> {
    let seed = this.#seed;
    const cmd = this.device.record("random weights");
    for (const [name, target] of this.#tensors) {
      const gain = /norm\d*\.weight|norm[^.]*\.weight/.test(name);
      const fanIn = target.shape.length > 1 ? sizeOf(target.shape.slice(1)) : 100;
      fillUniform(cmd, target, {
        seed: seed++,
        range: gain ? 0.2 : Math.sqrt(3 / fanIn),
        mean: gain ? 1 : 0,
      });
    }
    using program = await cmd.finish();
    program.run();
    await this.device.idle();
  }

  take(name: string, shape: Shape, options: TakeOptions = {}): Tensor {
    return this.#reserve(name, shape, this.typeOf(name, shape, options));
  }

  #reserve(name: string, shape: Shape, dtype: DType): Tensor {
    const before = this.#tensors.get(name);
    if (before) return before;
    const tensor = this.device.tensor({ shape, dtype, label: name });
    this.#tensors.set(name, tensor);
    return tensor;
  }

  takeConcat(parts: readonly (readonly [name: string, shape: Shape])[], options?: TakeOptions): Tensor {
    const rows = parts.reduce((sum, [, shape]) => sum + (shape[0] ?? 0), 0);
    const rest = parts[0]?.[1].slice(1) ?? [];
    return this.take(parts.map(([name]) => name).join(" + "), [rows, ...rest], options);
  }

  async takeHost(_: string, shape: Shape): Promise<Float32Array> {
    return Float32Array.from({ length: sizeOf(shape) }, (__, i) => Math.sin(i + 1));
  }

  derive({ label, shape, dtype }: Derivation): Tensor {
    return this.#reserve(label, shape, dtype ?? floatDType(this.dtype));
  }

  typeOf(_: string, __: Shape, { dtype, role }: TakeOptions = {}): DType {
    return dtype ?? weightTarget(this.dtype, role);
  }

  shape(name: string): Shape {
    throw new RangeError(`random weights have no stored shape for ${name}`);
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) tensor.dispose();
    this.#tensors.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
