import { describe, expect, test } from "vitest";
import { type PlanStep, planMemory } from "./planner.ts";
import { Random } from "./random.ts";

/** Random straight-line programs: each step writes one or two new tensors and reads some earlier ones. */
function randomProgram(seed: number) {
  const r = new Random(seed);
  const bytes: number[] = [];
  const steps: PlanStep[] = [];
  for (let s = 0; s < r.integer(1, 40); s++) {
    const reads = bytes.length
      ? Array.from({ length: r.integer(0, 4) }, () => r.integer(0, bytes.length))
      : [];
    const writes = Array.from({ length: r.integer(1, 3) }, () => bytes.push(16 * r.integer(1, 100)) - 1);
    steps.push({ reads, writes });
  }
  const pinned = new Set(bytes.flatMap((_, i) => (r.uniform() < 0.15 ? [i] : [])));
  return { bytes, steps, pinned };
}

/** What is in each slot while the steps run; throws where a read finds another tensor than it wants. */
function simulate({ bytes, steps, pinned }: ReturnType<typeof randomProgram>) {
  const plan = planMemory(bytes, steps, pinned);
  const holds = plan.slotBytes.map(() => -1);
  for (const { reads, writes } of steps) {
    for (const t of reads) expect(holds[plan.slotOf[t] as number]).toBe(t);
    for (const t of writes) {
      const slot = plan.slotOf[t] as number;
      expect(plan.slotBytes[slot]).toBeGreaterThanOrEqual(bytes[t] as number);
      for (const other of [...reads, ...writes]) if (other !== t) expect(plan.slotOf[other]).not.toBe(slot);
      holds[slot] = t;
    }
  }
  for (const t of pinned) expect(holds[plan.slotOf[t] as number]).toBe(t);
  return plan;
}

describe("planMemory", () => {
  test("a chain of equal tensors needs two slots", () => {
    const steps = Array.from({ length: 9 }, (_, i) => ({ reads: i ? [i - 1] : [], writes: [i] }));
    const plan = planMemory(Array(9).fill(64), steps, new Set());
    expect(plan.slotBytes).toEqual([64, 64]);
  });

  test("random programs never lose a live tensor, and pinned ones last", () => {
    for (let seed = 0; seed < 300; seed++) simulate(randomProgram(seed));
  });

  test("a pinned tensor that no step names still has memory", () => {
    const plan = planMemory([32], [], new Set([0]));
    expect(plan.slotBytes[plan.slotOf[0] as number]).toBe(32);
  });
});
