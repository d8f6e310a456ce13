/** Beyond so many sequences, batches are made for multiples of so many: beyond 16 a fifth at most is padding. */
const batchSteps = [
  [64, 8],
  [8, 4],
  [4, 2],
  [0, 1],
] as const;

/** The smallest number of sequences that programs are made for and that `count` fit into. */
export function batchClass(count: number): number {
  const [, step] = batchSteps.find(([from]) => count > from) ?? [0, 1];
  return Math.ceil(count / step) * step;
}

/** Positions that caches are made for. */
const capacityStep = 32;

/** The smallest capacity that caches are made for and that `positions` fit into. */
export function capacityClass(positions: number): number {
  return Math.ceil(positions / capacityStep) * capacityStep;
}

const endingStep = 2;

/** The length that endings of `length` tokens are padded to. */
export function endingClass(length: number): number {
  return Math.ceil(length / endingStep) * endingStep;
}
