/**
 * Random numbers of a scene: xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021)
 * seeded with 128 bits. Only operations that ECMAScript defines to the bit are used, so that a seed means the same scene on
 * every machine; `Math.log` or `Math.cos`, which engines may approximate, are not among them.
 */
export class SceneRandom {
  readonly #state: Uint32Array;

  /** `seed`: 32 hexadecimal digits, not all 0. */
  constructor(seed: string) {
    if (!/^[0-9a-f]{32}$/.test(seed) || /^0+$/.test(seed)) {
      throw new RangeError(
        `found the seed ${JSON.stringify(seed)}, expected 32 hexadecimal digits, not all 0`,
      );
    }
    this.#state = Uint32Array.from({ length: 4 }, (_, i) =>
      Number.parseInt(seed.slice(8 * i, 8 * i + 8), 16),
    );
  }

  /** An integer in [0, 2^32). */
  u32(): number {
    const s = this.#state as unknown as [number, number, number, number];
    const result = Math.imul(rotate(Math.imul(s[1], 5), 7), 9) >>> 0;
    const shifted = s[1] << 9;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 11);
    return result;
  }

  /** In [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.u32() / 2 ** 32);
  }

  /** An integer in [low, high]. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.uniform(0, high - low + 1));
  }

  chance(probability: number): boolean {
    return this.uniform() < probability;
  }

  /** Bell-shaped with mean 0, variance 1 and bounds ±3.46: the sum of four uniform bytes of one draw. */
  bell(): number {
    const bits = this.u32();
    const sum = (bits & 255) + ((bits >>> 8) & 255) + ((bits >>> 16) & 255) + (bits >>> 24);
    return (sum - 510) / 147.8;
  }

  /** One of the items, with equal chances. */
  pick<T>(items: readonly T[]): T {
    if (items.length === 0) throw new RangeError("nothing to pick from");
    return items[this.integer(0, items.length - 1)] as T;
  }

  /** One of the items, with chances in proportion to `weight`. */
  weighted<T>(items: readonly T[], weight: (item: T) => number): T {
    let left = this.uniform(
      0,
      items.reduce((sum, item) => sum + weight(item), 0),
    );
    for (const item of items) {
      left -= weight(item);
      if (left < 0) return item;
    }
    return this.pick(items.slice(-1));
  }

  /** The items in random order (Fisher and Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(0, i);
      [result[i], result[j]] = [result[j] as T, result[i] as T];
    }
    return result;
  }
}

function rotate(value: number, bits: number): number {
  return ((value << bits) | (value >>> (32 - bits))) >>> 0;
}
