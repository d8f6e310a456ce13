import { describe, expect, test } from "vitest";
import { fullMask } from "./coverage.ts";
import { layOut } from "./layout.ts";
import { areaOf, boundsOf, visibleMasks } from "./masks.ts";
import { outlines, sinCos } from "./outlines.ts";
import { SceneRandom } from "./random.ts";
import { drawScene } from "./scene.ts";
import { stream } from "./seed.ts";
import { shapes } from "./world.ts";

const seed = "0123456789abcdeffedcba9876543210";

describe("random numbers", () => {
  test("are those of xoshiro128**", () => {
    // state 1, 2, 3, 4, worked out by hand: rotl(2 * 5, 7) * 9 = 11520; then s1 = 0, and 0; then s1 = 1029
    const random = new SceneRandom("00000001000000020000000300000004");
    const first = [random.u32(), random.u32()];
    expect(first).toEqual([11520, 0]);
    expect(() => new SceneRandom("0".repeat(32))).toThrow(/not all 0/);
  });

  test("have the mean and the variance that they should", () => {
    const random = new SceneRandom(seed);
    const bells = Array.from({ length: 20000 }, () => random.bell());
    const mean = bells.reduce((sum, x) => sum + x, 0) / bells.length;
    const variance = bells.reduce((sum, x) => sum + x * x, 0) / bells.length;
    // five standard errors: 1 / sqrt(20000) = 0.007 and sqrt(2 / 20000) = 0.01
    expect(Math.abs(mean)).toBeLessThan(0.035);
    expect(Math.abs(variance - 1)).toBeLessThan(0.05);
    const picks = Array.from({ length: 9000 }, () => random.weighted([1, 2], (weight) => weight));
    // 5 * sqrt(9000 * 2 / 9) = 224
    expect(Math.abs(picks.filter((x) => x === 2).length - 6000)).toBeLessThan(224);
  });
});

describe("outlines", () => {
  test("stand on sines and cosines that are right", () => {
    for (let angle = -6.28; angle < 6.28; angle += 0.01) {
      const { sin, cos } = sinCos(angle);
      // terms of up to 6.28^6 / 6! = 85 are rounded to 2^-53 of that
      expect(Math.abs(sin - Math.sin(angle)) + Math.abs(cos - Math.cos(angle))).toBeLessThan(1e-13);
    }
  });

  test.each(shapes)("%s: its area by the square of its reach is that of the unit disc", (name) => {
    const { reach, contains } = outlines[name];
    const steps = 800;
    let [inside, farthest] = [0, 0];
    const at = (i: number) => ((i + 0.5) / steps) * 4 - 2;
    for (let i = 0; i < steps * steps; i++) {
      const [x, y] = [at(i % steps), at(Math.floor(i / steps))];
      if (!contains(x, y)) continue;
      inside++;
      farthest = Math.max(farthest, Math.sqrt(x * x + y * y));
    }
    const area = inside * (4 / steps) ** 2;
    // points 0.005 apart
    expect(Math.abs(area * reach * reach - Math.PI)).toBeLessThan(0.02);
    expect(farthest).toBeLessThanOrEqual(reach + 1e-12);
    expect(farthest).toBeGreaterThan(reach - 0.02);
  });
});

describe("masks", () => {
  test("lose what is in front of them", () => {
    const full = [Uint8Array.of(1, 1, 1, 0), Uint8Array.of(0, 1, 0, 0), Uint8Array.of(0, 1, 1, 1)];
    expect(visibleMasks(full)).toEqual([
      Uint8Array.of(1, 0, 0, 0),
      Uint8Array.of(0, 0, 0, 0),
      Uint8Array.of(0, 1, 1, 1),
    ]);
    expect(boundsOf(Uint8Array.of(0, 0, 0, 0, 0, 1, 0, 1, 0), 3)).toEqual([1, 1, 3, 3]);
  });

  test("are annotated with the share of them that is seen", () => {
    for (let index = 0; index < 40; index++) {
      const { annotation } = drawScene({ seed: 2, split: "validation", imageSize: 96 }, index);
      const placed = layOut(stream(annotation.seed, "layout"), 96);
      for (const [i, object] of annotation.objects.entries()) {
        const whole = placed[i]?.full ?? new Uint8Array();
        const front = placed.slice(i + 1).map(({ full }) => full);
        const seen = whole.filter((inside, at) => inside && !front.some((mask) => mask[at]));
        expect(object.visible_fraction).toBeCloseTo(seen.length / areaOf(whole), 4);
        expect(object.full_box).toEqual(boundsOf(whole, 96));
      }
    }
  });

  test("hold the pixels that are at least half covered", () => {
    const coverage = { x0: 1, y0: 0, x1: 3, y1: 1, counts: Uint8Array.of(7, 8) };
    expect(fullMask(coverage, 3)).toEqual(Uint8Array.of(0, 0, 1, 0, 0, 0, 0, 0, 0));
  });
});
