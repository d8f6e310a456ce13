/** A straight line through measurements. */
export interface LinearFit {
  readonly slope: number;
  readonly intercept: number;
  /** Of the slope; NaN for two points, which any line fits. */
  readonly standardError: number;
  /** Part of the variance that the line explains. */
  readonly r2: number;
  readonly points: number;
}

/** Ordinary least squares of y on x. Takes at least two different x. */
export function fitLine(points: readonly (readonly [x: number, y: number])[]): LinearFit {
  const n = points.length;
  const mean = (i: 0 | 1): number => points.reduce((sum, p) => sum + p[i], 0) / n;
  const [mx, my] = [mean(0), mean(1)];
  let [sxx, sxy, syy] = [0, 0, 0];
  for (const [x, y] of points) {
    sxx += (x - mx) ** 2;
    sxy += (x - mx) * (y - my);
    syy += (y - my) ** 2;
  }
  if (!(sxx > 0)) throw new RangeError(`a line takes two different abscissas, found ${n} points`);
  const slope = sxy / sxx;
  const residual = Math.max(0, syy - slope * sxy);
  return {
    slope,
    intercept: my - slope * mx,
    standardError: Math.sqrt(residual / (n - 2) / sxx),
    r2: syy > 0 ? 1 - residual / syy : 1,
    points: n,
  };
}
