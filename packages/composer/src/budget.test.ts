import { Random } from "@mask-llava/runtime";
import { describe, expect, test } from "vitest";
import { coarserGrids, type Offer, planComposition } from "./budget.ts";
import { dropPolicies, rankObjects } from "./drop.ts";
import { gridSize, type ObjectCandidate, tokenCount } from "./visual-tokens.ts";

function randomOffer(r: Random): Offer & { tokens: { width: number; data: Float64Array } } {
  const objects = r.integer(0, 12);
  const candidates: ObjectCandidate[] = Array.from({ length: objects }, () => ({
    kind: "object",
    score: r.uniform(),
    area: r.uniform(),
  }));
  if (r.uniform() < 0.7) candidates.push({ kind: "background", score: 0, area: r.uniform() });
  const width = 5;
  const tokens = { width, data: Float64Array.from({ length: candidates.length * width }, () => r.normal()) };
  const policy = dropPolicies[r.integer(0, dropPolicies.length)] ?? "score";
  const largestGrid = { rows: r.integer(1, 9), columns: r.integer(1, 9) };
  const grid = { rows: r.integer(1, largestGrid.rows + 1), columns: r.integer(1, largestGrid.columns + 1) };
  return {
    grid,
    largestGrid,
    candidates,
    tokens,
    ranking: rankObjects(candidates, tokens, { policy, seed: r.u32() }),
  };
}

describe("planComposition", () => {
  test("any budget keeps exactly that many tokens; more than there are is refused", () => {
    const r = new Random(3);
    for (let n = 0; n < 3000; n++) {
      const offer = randomOffer(r);
      const options = { cls: r.uniform() < 0.8, background: r.uniform() < 0.8, tokens: r.integer(1, 90) };
      const total = tokenCount(planComposition(offer, { ...options, tokens: undefined }));
      if (options.tokens > total) {
        expect(() => planComposition(offer, options)).toThrow(new RegExp(`there are ${total}:`));
        continue;
      }
      const plan = planComposition(offer, options);
      expect(tokenCount(plan)).toBe(options.tokens);
      expect(plan.cls).toBe(options.cls);
      expect(new Set(plan.objects).size).toBe(plan.objects.length);
      expect(plan.patches.length).toBeLessThanOrEqual(offer.grid.rows);
      expect(Math.max(0, ...plan.patches)).toBeLessThanOrEqual(offer.grid.columns);
    }
  });

  test("the full budget drops nothing", () => {
    const r = new Random(4);
    for (let n = 0; n < 200; n++) {
      const offer = randomOffer(r);
      const all = planComposition(offer, {});
      expect(all.objects).toEqual(offer.candidates.map((_, i) => i));
      expect(planComposition(offer, { tokens: tokenCount(all) })).toEqual(all);
    }
  });

  test("what a smaller budget keeps of the objects at one grid, a larger one keeps too", () => {
    const r = new Random(5);
    for (let n = 0; n < 200; n++) {
      const offer = randomOffer(r);
      const base = 1 + gridSize(offer.grid);
      const kept = offer.candidates.map(
        (_, i) => planComposition(offer, { patchGrid: offer.grid, tokens: base + i }).objects,
      );
      kept.slice(1).forEach((larger, i) => {
        for (const index of kept[i] ?? []) expect(larger).toContain(index);
      });
    }
  });

  const offer: Offer = {
    grid: { rows: 4, columns: 4 },
    largestGrid: { rows: 6, columns: 6 },
    candidates: [
      { kind: "object", score: 0.9, area: 0.1 },
      { kind: "object", score: 0.8, area: 0.3 },
      { kind: "background", score: 0, area: 0.6 },
    ],
    ranking: [0, 1, 2],
  };

  test("[CLS] first, then a grid, then objects by rank", () => {
    expect(planComposition(offer, { tokens: 1 })).toEqual({ cls: true, patches: [], objects: [] });
    expect(planComposition(offer, { tokens: 12 })).toEqual({
      cls: true,
      patches: [3, 3, 3],
      objects: [0, 1],
    });
    expect(planComposition(offer, { tokens: 18 })).toEqual({
      cls: true,
      patches: [4, 4, 4, 4],
      objects: [0],
    });
    const few = { ...offer, candidates: [], ranking: [] };
    expect(planComposition(few, { tokens: 12 })).toEqual({ cls: true, patches: [4, 4, 3], objects: [] });
    expect(planComposition(offer, { objects: 1 }).objects).toEqual([0, 2]);
    expect(planComposition(offer, { objects: 0, background: false }).objects).toEqual([]);
  });

  test("without patches a budget goes to [CLS] and objects alone", () => {
    expect(planComposition(offer, { patches: false })).toEqual({
      cls: true,
      patches: [],
      objects: [0, 1, 2],
    });
    expect(planComposition(offer, { patches: false, tokens: 3 })).toEqual({
      cls: true,
      patches: [],
      objects: [0, 1],
    });
    expect(planComposition(offer, { patches: false, cls: false, background: false }).objects).toEqual([0, 1]);
    expect(() => planComposition(offer, { patches: false, tokens: 5 })).toThrow(
      /there are 4: 1 \[CLS\], 0 patches/,
    );
  });

  test("a shortage takes all that there are, if that is asked for", () => {
    const all = planComposition(offer, {});
    const shortage = "take-all";
    expect(planComposition(offer, { tokens: 99, shortage })).toEqual(all);
    expect(planComposition(offer, { objects: 7, shortage })).toEqual(all);
    expect(planComposition(offer, { objects: 7, tokens: 99, cls: false, shortage })).toEqual({
      ...all,
      cls: false,
    });
    expect(planComposition(offer, { tokens: 12, shortage })).toEqual(planComposition(offer, { tokens: 12 }));
    expect(() => planComposition(offer, { tokens: 0, shortage })).toThrow(/at least 1/);
    expect(() => planComposition(offer, { objects: -1, shortage })).toThrow(/picture has 2/);
  });

  test.each([
    [{ patches: false, patchGrid: { rows: 2, columns: 2 } }, /2x2 without patch tokens/],
    [{ tokens: 0 }, /at least 1/],
    [{ tokens: 2.5 }, /at least 1/],
    [{ tokens: 99 }, /there are 20: 1 \[CLS\], 16 patches, 2 objects, 1 background/],
    [{ objects: 3 }, /3 object tokens were asked for; the picture has 2/],
    [{ objects: -1 }, /picture has 2/],
    [{ patchGrid: { rows: 7, columns: 1 } }, /7x1; it must lie between 1x1 and the vision tower's 6x6/],
    [{ patchGrid: { rows: 0, columns: 1 } }, /0x1/],
  ])("%j is refused", (options, message) => {
    expect(() => planComposition(offer, options)).toThrow(message);
  });
});

describe("rankObjects", () => {
  test("every policy is a permutation; score and area sort; the background has no score", () => {
    const r = new Random(6);
    for (let n = 0; n < 200; n++) {
      const { candidates, tokens } = randomOffer(r);
      for (const policy of dropPolicies) {
        const ranked = rankObjects(candidates, tokens, { policy, seed: n });
        expect([...ranked].sort((a, b) => a - b)).toEqual(candidates.map((_, i) => i));
        expect(rankObjects(candidates, tokens, { policy, seed: n })).toEqual(ranked);
      }
      const scores = rankObjects(candidates, tokens, { policy: "score" }).map(
        (i) => candidates[i]?.score ?? 0,
      );
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
    }
  });

  test("diverse takes the farthest direction next", () => {
    const candidates = [0.9, 0.8, 0.7].map((score) => ({ kind: "object" as const, score, area: 0.1 }));
    const data = [1, 0, 1, 0.1, 0, 1];
    expect(rankObjects(candidates, { width: 2, data }, { policy: "diverse" })).toEqual([0, 2, 1]);
  });
});

test("coarser grids are nowhere finer, the largest first", () => {
  const grids = coarserGrids({ rows: 3, columns: 2 });
  expect(grids.length).toBe(6);
  expect(grids[0]).toEqual({ rows: 3, columns: 2 });
  expect(grids.map(gridSize)).toEqual([6, 4, 3, 2, 2, 1]);
});
