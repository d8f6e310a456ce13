/** Milliseconds that stages took, in the order in which they began. */
export class Stopwatch {
  readonly stages: Record<string, number> = {};
  readonly #started = performance.now();

  /** Awaits `work` and adds its time to `stage`. */
  async time<T>(stage: string, work: () => Promise<T>): Promise<T> {
    const from = performance.now();
    this.stages[stage] ??= 0;
    try {
      return await work();
    } finally {
      this.add(stage, performance.now() - from);
    }
  }

  add(stage: string, milliseconds: number): void {
    this.stages[stage] = (this.stages[stage] ?? 0) + milliseconds;
  }

  /** The stages and `total`, to microseconds. */
  report(): Record<string, number> {
    const all = { ...this.stages, total: performance.now() - this.#started };
    return Object.fromEntries(Object.entries(all).map(([stage, ms]) => [stage, Math.round(ms * 1e3) / 1e3]));
  }
}
