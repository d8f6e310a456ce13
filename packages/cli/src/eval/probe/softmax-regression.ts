import { cholesky, choleskySolve } from "./cholesky.ts";

/** Steps of the optimisation; it stops earlier where the loss no longer falls. */
const mostSteps = 300;
const leastGain = 1e-7;
/** Weight of half the squared weights (without the intercepts) beside the mean loss. */
const ridge = 1e-4;

/**
 * Multinomial logistic regression on standardised features, with a slight ridge. Deterministic, and without a step size to
 * choose: each step minimises Böhning's quadratic bound of the loss (1992), whose matrix is the same throughout, from a point
 * ahead (Nesterov's momentum, restarted where the loss rises).
 */
export class SoftmaxRegression {
  /** In the order of their first occurrence. */
  readonly classes: readonly string[];
  readonly #standardise: Standardisation;
  /** [features + 1, classes]; the last row holds the intercepts. */
  readonly #weights: Float64Array;

  private constructor(classes: readonly string[], standardise: Standardisation, weights: Float64Array) {
    this.classes = classes;
    this.#standardise = standardise;
    this.#weights = weights;
  }

  /** @param features a row an example, of one length; at least one */
  static fit(features: readonly ArrayLike<number>[], labels: readonly string[]): SoftmaxRegression {
    const [first] = features;
    if (!first || labels.length !== features.length) {
      throw new RangeError(`softmax regression: ${features.length} examples with ${labels.length} labels`);
    }
    const classes = [...new Set(labels)];
    const standardise = standardisation(features);
    const x = features.map(standardise);
    const y = labels.map((label) => classes.indexOf(label));
    return new SoftmaxRegression(classes, standardise, minimise(x, y, classes.length));
  }

  /** The likeliest class. */
  predict(features: ArrayLike<number>): string {
    const scores = logits(this.#standardise(features), this.#weights, this.classes.length);
    return this.classes[scores.indexOf(Math.max(...scores))] as string;
  }
}

/** Standardised features and a 1 behind them. */
type Standardisation = (row: ArrayLike<number>) => Float64Array;

/** To mean 0 and deviation 1 over the rows; a feature that does not vary becomes 0. */
function standardisation(rows: readonly ArrayLike<number>[]): Standardisation {
  const width = (rows[0] as ArrayLike<number>).length;
  const mean = new Float64Array(width);
  const square = new Float64Array(width);
  for (const row of rows)
    for (let d = 0; d < width; d++) mean[d] = (mean[d] as number) + (row[d] as number) / rows.length;
  for (const row of rows) {
    for (let d = 0; d < width; d++)
      square[d] = (square[d] as number) + ((row[d] as number) - (mean[d] as number)) ** 2 / rows.length;
  }
  const scale = square.map((variance, d) => {
    const deviation = Math.sqrt(variance);
    return deviation > 1e-9 * (1 + Math.abs(mean[d] as number)) ? 1 / deviation : 0;
  });
  return (row) => {
    const out = new Float64Array(width + 1).fill(1, width);
    for (let d = 0; d < width; d++)
      out[d] = ((row[d] as number) - (mean[d] as number)) * (scale[d] as number);
    return out;
  };
}

function logits(row: Float64Array, weights: Float64Array, classes: number): number[] {
  const scores = Array<number>(classes).fill(0);
  for (let d = 0; d < row.length; d++) {
    const value = row[d] as number;
    for (let c = 0; c < classes; c++)
      scores[c] = (scores[c] as number) + value * (weights[d * classes + c] as number);
  }
  return scores;
}

function minimise(x: readonly Float64Array[], y: readonly number[], classes: number): Float64Array {
  const width = (x[0] as Float64Array).length;
  const factor = cholesky(curvature(x, width), width);
  let weights = new Float64Array(width * classes);
  let ahead = weights;
  let momentum = 1;
  let loss = Number.POSITIVE_INFINITY;
  for (let step = 0; step < mostSteps; step++) {
    const { gradient } = lossAndGradient(x, y, ahead, classes);
    choleskySolve(factor, gradient, width, classes);
    const next = ahead.map((w, i) => w - (gradient[i] as number));
    const { loss: nextLoss } = lossAndGradient(x, y, next, classes);
    if (nextLoss > loss) {
      if (momentum === 1) break; // rounding: a plain step cannot raise the loss
      [ahead, momentum] = [weights, 1];
      continue;
    }
    const nextMomentum = (1 + Math.sqrt(1 + 4 * momentum ** 2)) / 2;
    const share = (momentum - 1) / nextMomentum;
    const before = weights;
    ahead = next.map((w, i) => w + share * (w - (before[i] as number)));
    const gain = loss - nextLoss;
    [weights, momentum, loss] = [next, nextMomentum, nextLoss];
    if (gain < leastGain) break;
  }
  return weights;
}

/** Bound of the loss's second derivative, of every class: XᵀX / 2n and the ridge. [width, width] */
function curvature(x: readonly Float64Array[], width: number): Float64Array {
  const out = new Float64Array(width * width);
  for (const row of x) {
    for (let i = 0; i < width; i++) {
      const value = (row[i] as number) / (2 * x.length);
      if (value === 0) continue;
      for (let j = 0; j <= i; j++)
        out[i * width + j] = (out[i * width + j] as number) + value * (row[j] as number);
    }
  }
  for (let i = 0; i < width; i++) {
    out[i * width + i] = (out[i * width + i] as number) + ridge;
    for (let j = 0; j < i; j++) out[j * width + i] = out[i * width + j] as number;
  }
  return out;
}

/** Mean cross-entropy and ridge, and their gradient [width, classes]. */
function lossAndGradient(
  x: readonly Float64Array[],
  y: readonly number[],
  weights: Float64Array,
  classes: number,
): { loss: number; gradient: Float64Array } {
  const width = (x[0] as Float64Array).length;
  // intercepts are not held back
  const gradient = weights.map((w, i) => (i < (width - 1) * classes ? ridge * w : 0));
  let loss = 0;
  for (let i = 0; i < gradient.length; i++) loss += 0.5 * (gradient[i] as number) * (weights[i] as number);
  for (const [i, row] of x.entries()) {
    const scores = logits(row, weights, classes);
    const largest = Math.max(...scores);
    const exponentials = scores.map((s) => Math.exp(s - largest));
    const total = exponentials.reduce((a, b) => a + b, 0);
    const truth = y[i] as number;
    loss += (largest + Math.log(total) - (scores[truth] as number)) / x.length;
    for (let c = 0; c < classes; c++) {
      const excess = ((exponentials[c] as number) / total - (c === truth ? 1 : 0)) / x.length;
      for (let d = 0; d < width; d++) {
        const at = d * classes + c;
        gradient[at] = (gradient[at] as number) + excess * (row[d] as number);
      }
    }
  }
  return { loss, gradient };
}
