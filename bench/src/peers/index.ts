import type { Device } from "@mask-llava/runtime";
import { type Conditions, conditionsOf, processorCache } from "../common/conditions.ts";
import type { Size } from "../common/sizes.ts";
import type { PeerCase } from "./cases.ts";
import { DifferentResults, measurePeer, type PeerMeasurement, type PeerOptions } from "./measure.ts";
import type { OnnxRuntime } from "./onnx-runtime.ts";
import { Untranslatable } from "./translate/index.ts";

export interface PeerRow extends PeerMeasurement {
  readonly name: string;
  readonly kind: PeerCase["kind"];
}

export interface SkippedCase {
  readonly name: string;
  readonly reason: string;
}

export interface PeerReport {
  readonly benchmark: "peers";
  readonly peer: { readonly name: "ONNX Runtime, WebGPU provider"; readonly version: string };
  readonly size: Size;
  readonly conditions: Conditions;
  readonly options: PeerOptions;
  /** Over all cases; above 1 we are ahead. */
  readonly geometricMean: number;
  readonly geometricMeanOfProcessorTime: number;
  /** Names of cases whose ratio is below 1. */
  readonly behind: readonly string[];
  /** Wall seconds of the whole run. */
  readonly seconds: number;
  readonly rows: readonly PeerRow[];
  readonly skipped: readonly SkippedCase[];
}

export interface PeerRun {
  readonly size: Size;
  readonly cases: readonly PeerCase[];
  readonly note?: string | undefined;
  /** A case is done. */
  readonly onResult?: (result: PeerRow | SkippedCase) => void;
}

const mebibyte = 2 ** 20;

function optionsOf(device: Device, size: Size): PeerOptions {
  if (!device.info.software) {
    return { bytes: 512 * mebibyte, flops: 2e12, sets: 64, sample: 50, rounds: 25, limit: 4000 };
  }
  if (size === "tiny") return { bytes: 2 * mebibyte, flops: 1e8, sets: 4, sample: 5, rounds: 9, limit: 500 };
  const bytes = 2 * (processorCache() ?? 32 * mebibyte);
  return { bytes, flops: 5e8, sets: 32, sample: 50, rounds: 15, limit: 3000 };
}

/** Compares every case. What cannot be compared is said, and left out of the means. */
export async function runPeers(device: Device, runtime: OnnxRuntime, run: PeerRun): Promise<PeerReport> {
  const begun = performance.now();
  const conditions = await conditionsOf(device, run.note);
  const options = optionsOf(device, run.size);
  const rows: PeerRow[] = [];
  const skipped: SkippedCase[] = [];
  for (const c of run.cases) {
    const { name, kind } = c;
    const result = await attempt();
    if ("reason" in result) skipped.push(result);
    else rows.push(result);
    run.onResult?.(result);

    async function attempt(): Promise<PeerRow | SkippedCase> {
      if (c.float === "f16" && !device.caps.f16)
        return { name, reason: "the adapter has no f16, which ONNX Runtime computes it in" };
      try {
        return { name, kind, ...(await measurePeer(device, runtime, c, options)) };
      } catch (error) {
        if (error instanceof DifferentResults || error instanceof Untranslatable)
          return { name, reason: error.message };
        throw error;
      }
    }
  }
  return {
    benchmark: "peers",
    peer: { name: "ONNX Runtime, WebGPU provider", version: runtime.version },
    size: run.size,
    conditions,
    options,
    geometricMean: geometricMean(rows.map(({ ratio }) => ratio)),
    geometricMeanOfProcessorTime: geometricMean(rows.map(({ processorRatio }) => processorRatio)),
    behind: rows.filter(({ ratio }) => ratio < 1).map(({ name }) => name),
    seconds: (performance.now() - begun) / 1e3,
    rows,
    skipped,
  };
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, v) => sum + Math.log(v), 0) / values.length);
}
