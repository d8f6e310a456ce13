import type { Device } from "@mask-llava/runtime";
import { quantile, type Statistics, statisticsOf } from "../common/statistics.ts";
import type { NetworkOptions } from "../networks/network.ts";
import type { WorkloadKind } from "./workload.ts";

export interface ModelMeasurement {
  readonly dtype: "f32" | "f16";
  /** Wall milliseconds until the weights, random ones, are on the GPU. */
  readonly load: number;
  /** Wall milliseconds of recording and building the program; its WGSL is compiled by then. */
  readonly build: number;
  /** Wall milliseconds of the first run: drivers compile their part then. No shader was in any cache before. */
  readonly first: number;
  /** Wall milliseconds of later runs. */
  readonly run: Statistics;
  /** The host's part of a run, encoding and submitting: the median, in milliseconds. */
  readonly submit: number | undefined;
  readonly pipelines: number;
  /** Wall milliseconds of compiling WGSL, summed over pipelines, which are compiled in parallel. */
  readonly compile: number;
  readonly dispatches: number | undefined;
  readonly flops: number;
  readonly gflops: number;
  /** Weights and caches; what the program holds; the largest of everything on the GPU. */
  readonly bytes: {
    readonly weights: number;
    readonly program: number | undefined;
    readonly peakGpu: number;
  };
}

export interface ModelOptions {
  /** Runs at most, and milliseconds after which no further one is begun; two are made in any case. */
  readonly runs: number;
  readonly limit: number;
}

/** Loads, builds and runs a network on a device that has done nothing before. */
export async function measureModel(
  device: Device,
  kind: WorkloadKind,
  network: NetworkOptions,
  { runs, limit }: ModelOptions,
): Promise<ModelMeasurement> {
  const opening = performance.now();
  using workload = await kind.open(device, network);
  const { build, flops, dispatches, weightBytes, programBytes } = workload;
  const load = performance.now() - opening - build;
  const begun = performance.now();
  await workload.run();
  const first = performance.now() - begun;
  await workload.check();
  const times: number[] = [];
  const submits: number[] = [];
  const from = performance.now();
  while (times.length < runs && (times.length < 2 || performance.now() - from < limit)) {
    const start = performance.now();
    if (workload.submit) {
      submits.push(workload.submit());
      await device.idle();
    } else await workload.run();
    times.push(performance.now() - start);
  }
  const run = await statisticsOf(times);
  return {
    dtype: network.dtype,
    load,
    build,
    first,
    run,
    submit:
      submits.length > 0
        ? quantile(
            submits.sort((a, b) => a - b),
            0.5,
          )
        : undefined,
    pipelines: device.pipelines.size,
    compile: device.pipelines.compileMilliseconds,
    dispatches,
    flops,
    gflops: flops / run.median / 1e6,
    bytes: { weights: weightBytes, program: programBytes, peakGpu: device.memory().peak },
  };
}
