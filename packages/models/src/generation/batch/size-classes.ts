/** Numbers of sequences that programs are made for: each is at most half more than the one before. */
function batchClasses(most: number): number[] {
  const classes = [1, 2, 3];
  for (let n = 4; n <= 2 * most; n *= 2) classes.push(n, n + n / 2);
  return classes;
}

/** The smallest number of sequences that programs are made for and that `count` fit into. */
export function batchClass(count: number): number {
  return batchClasses(count).find((n) => n >= count) as number;
}

/** Positions that caches are made for. */
const capacityStep = 32;

/** The smallest capacity that caches are made for and that `positions` fit into. */
export function capacityClass(positions: number): number {
  return Math.ceil(positions / capacityStep) * capacityStep;
}

const endingStep = 4;

/** The length that endings of `length` tokens are padded to. */
export function endingClass(length: number): number {
  return Math.ceil(length / endingStep) * endingStep;
}
