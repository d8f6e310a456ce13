import Benchmark from "benchmark";

/** Of a case's samples; times in milliseconds. */
export interface Statistics {
  readonly samples: number;
  readonly median: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  /** Of the mean, at 95%, in percent of it: `benchmark`'s figure, by Student's t. */
  readonly relativeMarginOfError: number;
  /** Distance between the quartiles as a part of the median. */
  readonly spread: number;
}

/** A clock for `benchmark` that is moved by hand. It ticks when it is read, as the library waits for the first tick. */
class HandClock {
  #seconds = 0;

  readonly read = (since?: readonly [number, number]): [number, number] => {
    this.#seconds += 1e-12;
    const elapsed = this.#seconds - (since ? since[0] + since[1] / 1e9 : 0);
    return [0, elapsed * 1e9];
  };

  advance(seconds: number): void {
    this.#seconds += seconds;
  }

  reset(): void {
    this.#seconds = 0;
  }
}

/**
 * The statistics of the `benchmark` package on times that were taken elsewhere (timestamps of a GPU, interleaved runs): its
 * clock is one that shows them.
 * @param times milliseconds, at least two
 */
export async function statisticsOf(times: readonly number[]): Promise<Statistics> {
  if (times.length < 2 || times.some((t) => !(t > 0) || !Number.isFinite(t)))
    throw new RangeError(`statistics take at least two positive times, found [${times.join(", ")}]`);
  const clock = new HandClock();
  const Suite = Benchmark.runInContext({ process: { hrtime: clock.read } }) as unknown as typeof Benchmark;
  let next = 0;
  const { stats } = await new Promise<Benchmark>((resolve, reject) => {
    const bench = new Suite({
      name: "times",
      defer: true,
      async: true,
      fn: (deferred: { resolve(): void }) => {
        clock.advance((times[next++ % times.length] as number) / 1e3);
        deferred.resolve();
      },
      onCycle: () => clock.reset(),
      onComplete: () => resolve(bench),
      onError: () => reject(bench.error),
      // a sample is one time, and there are exactly as many as were given
      initCount: 1,
      minTime: 1e-15,
      minSamples: times.length,
      maxTime: -1,
      delay: 1e-4,
    });
    bench.run();
  });
  const sorted = [...times].sort((a, b) => a - b);
  const median = quantile(sorted, 0.5);
  return {
    samples: times.length,
    median,
    mean: stats.mean * 1e3,
    min: sorted[0] as number,
    max: sorted.at(-1) as number,
    relativeMarginOfError: stats.rme,
    spread: (quantile(sorted, 0.75) - quantile(sorted, 0.25)) / median,
  };
}

/** Linear between the two nearest of `sorted`. */
export function quantile(sorted: readonly number[], part: number): number {
  const at = part * (sorted.length - 1);
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}
