import { Random } from "@mask-llava/runtime";
import { describe, expect, test } from "vitest";
import { cholesky, choleskySolve } from "./cholesky.ts";
import { SoftmaxRegression } from "./softmax-regression.ts";

test("Cholesky's factor solves symmetric systems", () => {
  const r = new Random(2);
  for (const n of [1, 2, 5, 17]) {
    const x = Float64Array.from({ length: n * n }, () => r.normal());
    const a = Float64Array.from({ length: n * n }, (_, at) => {
      const [i, j] = [Math.floor(at / n), at % n];
      let sum = i === j ? 0.1 : 0;
      for (let k = 0; k < n; k++) sum += (x[i * n + k] as number) * (x[j * n + k] as number);
      return sum;
    });
    const solution = Float64Array.from({ length: n * 3 }, () => r.normal());
    const b = new Float64Array(n * 3);
    for (let i = 0; i < n; i++)
      for (let c = 0; c < 3; c++)
        for (let k = 0; k < n; k++)
          b[i * 3 + c]! += (a[i * n + k] as number) * (solution[k * 3 + c] as number);
    choleskySolve(cholesky(a, n), b, n, 3);
    for (const [i, v] of b.entries()) expect(v).toBeCloseTo(solution[i] as number, 6);
  }
  expect(() => cholesky(Float64Array.of(1, 2, 2, 1), 2)).toThrow(/not positive definite/);
});

/** Examples around a centre a class, in features of very different sizes, one of which says nothing. */
function clusters(count: number, spread: number, seed: number) {
  const r = new Random(seed);
  const centres = new Random(9);
  const names = ["a", "b", "c", "d"];
  const middle = names.map(() => Array.from({ length: 6 }, () => centres.normal()));
  const labels = Array.from({ length: count }, (_, i) => names[i % 4] as string);
  const features = labels.map((label) =>
    Float64Array.from({ length: 7 }, (_, d) =>
      d === 6 ? 4 : 1000 ** (d % 2) * ((middle[names.indexOf(label)]?.[d] as number) + spread * r.normal()),
    ),
  );
  return { features, labels };
}

function accuracy(model: SoftmaxRegression, { features, labels }: ReturnType<typeof clusters>): number {
  return features.filter((row, i) => model.predict(row) === labels[i]).length / labels.length;
}

describe("multinomial logistic regression", () => {
  test("tells clusters apart on examples that it has not seen", () => {
    const model = SoftmaxRegression.fit(clusters(200, 0.2, 1).features, clusters(200, 0.2, 1).labels);
    expect(accuracy(model, clusters(400, 0.2, 2))).toBeGreaterThan(0.99);
    const noisy = clusters(2000, 1, 3);
    expect(
      accuracy(SoftmaxRegression.fit(noisy.features, noisy.labels), clusters(2000, 1, 4)),
    ).toBeGreaterThan(0.75);
  });

  test("is no better than chance on labels that mean nothing, and repeats itself", () => {
    const { features } = clusters(800, 1, 5);
    const r = new Random(6);
    const labels = features.map(() => (r.uniform() < 0.5 ? "x" : "y"));
    const [one, two] = [SoftmaxRegression.fit(features, labels), SoftmaxRegression.fit(features, labels)];
    const held = clusters(800, 1, 7).features;
    const said = held.map((row) => one.predict(row));
    expect(said).toEqual(held.map((row) => two.predict(row)));
    const chance = held.map(() => (r.uniform() < 0.5 ? "x" : "y"));
    const right = said.filter((label, i) => label === chance[i]).length / held.length;
    expect(Math.abs(right - 0.5)).toBeLessThan(0.08);
  });

  test("one class, one example, and features that do not vary are no trouble", () => {
    expect(SoftmaxRegression.fit([[1, 2]], ["a"]).predict([5, 5])).toBe("a");
    const flat = SoftmaxRegression.fit([[1], [1], [1]], ["a", "b", "b"]);
    expect(flat.predict([1])).toBe("b");
    expect(() => SoftmaxRegression.fit([], [])).toThrow(RangeError);
  });

  test("the probabilities' mean is the classes' frequency: the intercepts are at their best", () => {
    const r = new Random(8);
    const features = Array.from({ length: 300 }, () => [r.normal(), r.normal()]);
    const labels = features.map(([a = 0]) => (a + r.normal() > 0.8 ? "rare" : "frequent"));
    const model = SoftmaxRegression.fit(features, labels);
    const said = features.filter((row) => model.predict(row) === "rare").length;
    expect(said).toBeLessThan(labels.filter((label) => label === "rare").length);
    expect(said).toBeGreaterThan(10);
  });
});
