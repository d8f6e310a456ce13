/** A step of a program as the planner sees it: indices of planned tensors. */
export interface PlanStep {
  readonly reads: readonly number[];
  readonly writes: readonly number[];
}

export interface MemoryPlan {
  /** Slot of each tensor, by tensor index. */
  readonly slotOf: readonly number[];
  /** Bytes of each slot. */
  readonly slotBytes: readonly number[];
}

/**
 * Lifetimes -> slots; a pure function. A tensor lives from the first to the last step that names it; `pinned` ones live
 * to the end and share their slot with nobody, as they are read after the run. Tensors whose lifetimes meet in a step
 * never share a slot, since a kernel may not read and write one buffer. Best fit; the largest free slot grows.
 */
export function planMemory(
  bytes: readonly number[],
  steps: readonly PlanStep[],
  pinned: ReadonlySet<number>,
): MemoryPlan {
  const first = bytes.map(() => -1);
  const last = bytes.map(() => -1);
  steps.forEach((step, i) => {
    for (const t of [...step.reads, ...step.writes]) {
      if (first[t] === -1) first[t] = i;
      last[t] = i;
    }
  });
  const slotOf = bytes.map(() => -1);
  const slotBytes: number[] = [];
  const free = new Set<number>();
  const dyingAt = steps.map((): number[] => []);
  const bornAt = steps.map((): number[] => []);
  bytes.forEach((_, t) => {
    const from = first[t] as number;
    if (from < 0) return;
    bornAt[from]?.push(t);
    if (!pinned.has(t)) dyingAt[last[t] as number]?.push(t);
  });

  const take = (size: number): number => {
    let best = -1;
    for (const slot of free) {
      const have = slotBytes[slot] as number;
      const bestHas = best < 0 ? -1 : (slotBytes[best] as number);
      const better = have >= size ? bestHas < size || have < bestHas : bestHas < size && have > bestHas;
      if (best < 0 || better) best = slot;
    }
    if (best < 0) {
      slotBytes.push(size);
      return slotBytes.length - 1;
    }
    free.delete(best);
    slotBytes[best] = Math.max(slotBytes[best] as number, size);
    return best;
  };
  const own = (size: number): number => slotBytes.push(size) - 1;

  steps.forEach((_, i) => {
    // large ones first, so that they get the slots that fit them best
    const born = (bornAt[i] as number[]).sort((a, b) => (bytes[b] as number) - (bytes[a] as number));
    for (const t of born) slotOf[t] = pinned.has(t) ? own(bytes[t] as number) : take(bytes[t] as number);
    for (const t of dyingAt[i] as number[]) free.add(slotOf[t] as number);
  });
  bytes.forEach((size, t) => {
    if (slotOf[t] === -1 && pinned.has(t)) slotOf[t] = own(size);
  });
  return { slotOf, slotBytes };
}
