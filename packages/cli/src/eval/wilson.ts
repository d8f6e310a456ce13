/** The normal distribution's quantile at 97.5%: intervals of 95%. */
const z = 1.959963984540054;

/**
 * Wilson's score interval of a share (Wilson 1927): within 0 and 1, and of use for few trials and for shares near the ends.
 * @returns lower and upper end at 95% confidence; 0 and 1 where nothing was tried
 */
export function wilson(right: number, n: number): readonly [low: number, high: number] {
  if (n === 0) return [0, 1];
  const share = right / n;
  const scale = 1 + z ** 2 / n;
  const centre = (share + z ** 2 / (2 * n)) / scale;
  const half = (z / scale) * Math.sqrt((share * (1 - share)) / n + z ** 2 / (4 * n ** 2));
  return [Math.max(0, centre - half), Math.min(1, centre + half)];
}
