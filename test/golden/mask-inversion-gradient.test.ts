import { fileURLToPath } from "node:url";
import { Random } from "@mask-llava/runtime";
import { expect, test } from "vitest";
import {
  at,
  attention64,
  attentionGradient64,
  embed64,
  type Flat,
  linearize64,
  score64,
  tower64,
} from "../support/mask-inversion-f64.ts";

const folder = fileURLToPath(new URL("../fixtures/mask-inversion-tiny-", import.meta.url));

/** In f64: central differences by 1e-5 are good to about 1e-9 of values of size 1. */
test.each([
  ["quick-gelu", "projected"],
  ["gelu-resampled", "projected"],
  ["gelu-resampled", "hidden"],
] as const)("the closed forms are the derivatives: %s, %s", async (name, space) => {
  const model = `${folder}${name}/model.safetensors`;
  const t = await tower64(model, `${folder}${name}/config.json`, 56, space);
  const random = new Random(3);
  const n = 10;
  const x = random.normals([n, t.width]).data;
  const block = t.blocks.at(-1)!;
  const width = t.projection ? t.projection.length / t.width : t.width;
  const embedding = random.normals([width]).data;
  const { linear, outputOf } = linearize64(t, block, x);
  const { probabilities } = attention64(t, block, x);

  const gradient = attentionGradient64(t, linear, embedding);
  const scoreAt = (change: (p: Flat) => void): number => {
    const p = probabilities.slice();
    change(p);
    return score64(t, outputOf(p), embedding);
  };
  const e = 1e-5;
  const largest = gradient.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  for (let sample = 0; sample < 40; sample++) {
    const i = random.integer(0, gradient.length);
    const up = scoreAt((p) => p.fill(at(p, i) + e, i, i + 1));
    const down = scoreAt((p) => p.fill(at(p, i) - e, i, i + 1));
    expect(Math.abs((up - down) / (2 * e) - at(gradient, i))).toBeLessThan(1e-6 * largest);
  }

  // along a change of all probabilities, each coordinate of f
  const change = random.normals([probabilities.length]).data;
  const d = t.width / t.heads;
  const dOut = new Float64Array(n * t.width);
  change.forEach((p, i) => {
    const [h, row, j] = [Math.floor(i / (n * n)), Math.floor(i / n) % n, i % n];
    for (let c = h * d; c < (h + 1) * d; c++)
      dOut[row * t.width + c] = at(dOut, row * t.width + c) + p * at(linear.values, j * t.width + c);
  });
  const feature = (step: number): Flat => {
    const z = outputOf(probabilities.map((p, i) => p + step * at(change, i)));
    const mean = new Float64Array(t.width);
    z.forEach((v, i) => {
      mean[i % t.width] = at(mean, i % t.width) + v / n;
    });
    const f = embed64(t, mean);
    const norm = Math.sqrt(f.reduce((a, v) => a + v * v, 0));
    return f.map((v) => v / norm);
  };
  const [up, down, along] = [feature(e), feature(-e), linear.jvp(dOut)];
  const size = along.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  along.forEach((v, i) => {
    expect(Math.abs((at(up, i) - at(down, i)) / (2 * e) - v)).toBeLessThan(1e-6 * size);
  });
});
