import { Random } from "@mask-llava/runtime/conformance";

/**
 * Seeded values for benchmark data: tens of millions of them are drawn, which the 64-bit generator of the conformance
 * cases takes minutes for. A counter through the PCG output permutation (Jarzynski and Olano 2020), 32 bits.
 */
export class FastRandom extends Random {
  #counter: number;

  constructor(seed: number) {
    super(seed);
    this.#counter = Math.imul(seed, 0x9e3779b9) >>> 0;
  }

  override u32(): number {
    // the base constructor draws once, before this class' fields are there
    if (!(#counter in this)) return 0;
    this.#counter = (this.#counter + 1) >>> 0;
    const state = (Math.imul(this.#counter, 747796405) + 2891336453) >>> 0;
    const word = Math.imul((state >>> ((state >>> 28) + 4)) ^ state, 277803737) >>> 0;
    return ((word >>> 22) ^ word) >>> 0;
  }
}
