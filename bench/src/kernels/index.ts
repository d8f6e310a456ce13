import type { Device } from "@mask-llava/runtime";
import { type Conditions, conditionsOf, processorCache } from "../common/conditions.ts";
import type { Size } from "../common/sizes.ts";
import { type KernelCase, suiteCases } from "./cases.ts";
import { type Measurement, type MeasureOptions, measureCase } from "./measure.ts";
import { measureRoofs, type Roofs } from "./roofs.ts";
import { networkCases } from "./shapes.ts";

/** A case that was checked and timed. */
export interface KernelRow extends Measurement {
  readonly name: string;
  /** By the median. */
  readonly gflops: number;
  /** Bytes that must move at least, by the median. */
  readonly gigabytes: number;
  /** Parts of the roofs; the larger one is what binds the kernel. Above 1 where a case's data stay in a cache. */
  readonly ofArithmetic: number;
  readonly ofRead: number;
}

export interface KernelReport {
  readonly benchmark: "kernels";
  readonly size: Size;
  readonly conditions: Conditions;
  readonly roofs: Roofs;
  readonly options: MeasureOptions;
  /** Wall seconds of the whole run. */
  readonly seconds: number;
  readonly rows: readonly KernelRow[];
}

export interface KernelRun {
  readonly size: Size;
  readonly cases: readonly KernelCase[];
  readonly note?: string | undefined;
  readonly onRow?: (row: KernelRow) => void;
}

/** All cases of a size. */
export function kernelCases(size: Size): KernelCase[] {
  const networks = networkCases(size);
  return [...networks, ...suiteCases(size, new Set(networks.map(({ op }) => op.name)))];
}

const mebibyte = 2 ** 20;

function optionsOf(device: Device, size: Size): MeasureOptions {
  // a GPU does not tell its cache; the largest of today have 50 to 256 MiB
  const cache = device.info.software ? (processorCache() ?? 32 * mebibyte) : 256 * mebibyte;
  const rotation = size === "tiny" ? Math.min(2 * cache, 32 * mebibyte) : 2 * cache;
  if (size === "tiny") return { samples: 5, sample: 20, limit: 300, rotation };
  return { samples: 15, sample: 20, limit: size === "small" ? 1000 : 2000, rotation };
}

/** Measures the roofs, then checks and times every case. Throws WrongResult at the first that is wrong. */
export async function runKernels(device: Device, run: KernelRun): Promise<KernelReport> {
  const begun = performance.now();
  const conditions = await conditionsOf(device, run.note);
  const options = optionsOf(device, run.size);
  const roofs = await measureRoofs(device, run.size, options);
  const rows: KernelRow[] = [];
  for (const c of run.cases) {
    const measured = await measureCase(device, c, options);
    const row = rowOf(c.name, measured, roofs);
    rows.push(row);
    run.onRow?.(row);
  }
  const seconds = (performance.now() - begun) / 1e3;
  return { benchmark: "kernels", size: run.size, conditions, roofs, options, seconds, rows };
}

function rowOf(name: string, measured: Measurement, roofs: Roofs): KernelRow {
  const seconds = measured.time.median / 1e3;
  const [flops, bytes] = [measured.flops / seconds, measured.bytes / seconds];
  return {
    name,
    ...measured,
    gflops: flops / 1e9,
    gigabytes: bytes / 1e9,
    ofArithmetic: flops / roofs.flopsPerSecond,
    ofRead: bytes / roofs.readBytesPerSecond,
  };
}
