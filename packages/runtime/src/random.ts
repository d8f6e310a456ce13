import { type HostTensor, hostTensor } from "./host-tensor.ts";
import { type DType, type Shape, sizeOf } from "./tensor.ts";

/** Seeded pseudo-random numbers (PCG32, O'Neill 2014) for test and benchmark data. */
export class Random {
  #state: bigint;

  constructor(seed: number) {
    this.#state = (BigInt(seed) * 2862933555777941757n + 3037000493n) & 0xffffffffffffffffn;
    this.u32();
  }

  u32(): number {
    const old = this.#state;
    this.#state = (old * 6364136223846793005n + 1442695040888963407n) & 0xffffffffffffffffn;
    const shifted = Number((((old >> 18n) ^ old) >> 27n) & 0xffffffffn);
    const rotation = Number(old >> 59n);
    return ((shifted >>> rotation) | (shifted << (-rotation & 31))) >>> 0;
  }

  /** In [0, 1). */
  uniform(): number {
    return this.u32() / 2 ** 32;
  }

  /** An integer in [low, high). */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform() * (high - low));
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** Normal values of the given standard deviation and mean, rounded to `dtype`. */
  normals(shape: Shape, options: { scale?: number; mean?: number; dtype?: DType } = {}): HostTensor {
    const { scale = 1, mean = 0, dtype = "f32" } = options;
    return hostTensor(
      shape,
      dtype,
      Float64Array.from({ length: sizeOf(shape) }, () => mean + scale * this.normal()),
    );
  }

  /** Integers in [low, high). */
  integers(shape: Shape, low: number, high: number, dtype: "u32" | "i32" = "u32"): HostTensor {
    return hostTensor(
      shape,
      dtype,
      Float64Array.from({ length: sizeOf(shape) }, () => this.integer(low, high)),
    );
  }
}
