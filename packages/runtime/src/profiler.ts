import type { Device } from "./device.ts";
import { RuntimeError } from "./errors.ts";

/** GPU time of one op of one program. */
export interface OpTime {
  readonly program: string;
  readonly op: string;
  readonly variant: string;
  /** Times that the op ran. */
  readonly runs: number;
  readonly milliseconds: number;
}

/** One timestamped pass a step; WebGPU bounds a query set to 4096 queries. */
const stepsPerSet = 2048;
const usage = { query: 0x200 | 0x04, read: 0x01 | 0x08 } as const;

interface TimedBatch {
  readonly querySet: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly staging: GPUBuffer;
  readonly first: number;
  readonly count: number;
}

/** Passes of one run that carry timestamps. */
export class TimedRun {
  readonly #device: Device;
  readonly #name: string;
  readonly #batches: TimedBatch[] = [];
  readonly #steps: number;

  /** Encodes each of `steps` into a pass of its own. */
  constructor(
    device: Device,
    name: string,
    encoder: GPUCommandEncoder,
    steps: number,
    issue: (pass: GPUComputePassEncoder, step: number) => void,
  ) {
    this.#device = device;
    this.#name = name;
    this.#steps = steps;
    for (let first = 0; first < steps; first += stepsPerSet) {
      const batch = this.#batch(first, Math.min(stepsPerSet, steps - first));
      this.#batches.push(batch);
      const { querySet, count } = batch;
      for (let i = 0; i < count; i++) {
        const pass = encoder.beginComputePass({
          timestampWrites: {
            querySet,
            beginningOfPassWriteIndex: 2 * i,
            endOfPassWriteIndex: 2 * i + 1,
          },
        });
        issue(pass, first + i);
        pass.end();
      }
      encoder.resolveQuerySet(querySet, 0, count * 2, batch.resolved, 0);
      encoder.copyBufferToBuffer(batch.resolved, 0, batch.staging, 0, count * 16);
    }
  }

  /** Milliseconds of each step; to be called once, after the submission. */
  async collect(): Promise<number[]> {
    const times = Array<number>(this.#steps).fill(0);
    try {
      for (const { staging, first, count } of this.#batches) {
        const ticks = new BigUint64Array((await this.#device.readStaging(staging, count * 16)).buffer);
        for (let i = 0; i < count; i++) {
          // nanoseconds; a driver may let a clock step back, which is no time
          times[first + i] = Math.max(0, Number((ticks[2 * i + 1] ?? 0n) - (ticks[2 * i] ?? 0n)) / 1e6);
        }
      }
      return times;
    } finally {
      for (const { querySet, resolved, staging } of this.#batches) {
        querySet.destroy();
        this.#device.buffers.release(resolved);
        this.#device.buffers.release(staging);
      }
    }
  }

  #batch(first: number, count: number): TimedBatch {
    const label = `${this.#name} timestamps`;
    return {
      querySet: this.#device.gpuDevice.createQuerySet({ type: "timestamp", count: count * 2, label }),
      resolved: this.#device.buffers.allocate(count * 16, usage.query, label),
      staging: this.#device.buffers.allocate(count * 16, usage.read, label),
      first,
      count,
    };
  }
}

/**
 * Adds up the GPU time of every op of every program that runs while it is the device's `profiler`. Each op then runs in a
 * pass of its own, so that runs are slower as a whole, and results are the same.
 */
export class Profiler {
  readonly #times = new Map<string, OpTime>();
  readonly #pending: Promise<void>[] = [];

  /** Throws a RuntimeError with code CAPABILITY where the device has no timestamps. */
  constructor(device: Device) {
    if (!device.caps.timestamps)
      throw new RuntimeError("CAPABILITY", "profile: the device has no timestamps");
  }

  /** Counts a run of a program whose passes were submitted. */
  add(
    program: string,
    steps: readonly { readonly op: string; readonly variant: string }[],
    run: TimedRun,
  ): void {
    const counted = run.collect().then((times) => {
      for (const [i, { op, variant }] of steps.entries()) this.#count(program, op, variant, times[i] ?? 0);
    });
    counted.catch(() => {}); // told by `report`
    this.#pending.push(counted);
  }

  /** What ran so far, the longest first. */
  async report(): Promise<OpTime[]> {
    await Promise.all(this.#pending);
    return [...this.#times.values()].sort((a, b) => b.milliseconds - a.milliseconds);
  }

  #count(program: string, op: string, variant: string, milliseconds: number): void {
    const key = JSON.stringify([program, op, variant]);
    const before = this.#times.get(key);
    this.#times.set(key, {
      program,
      op,
      variant,
      runs: (before?.runs ?? 0) + 1,
      milliseconds: (before?.milliseconds ?? 0) + milliseconds,
    });
  }
}
