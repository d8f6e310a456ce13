import { type Device, Profiler } from "@mask-llava/runtime";
import { openNodeDevice } from "@mask-llava/runtime/node";
import type { ModelFlags } from "./flags.ts";
import { type Io, say } from "./io.ts";
import type { CommonOutput } from "./output.ts";
import type { Stopwatch } from "./stopwatch.ts";
import type { Settled } from "./weight-dtype.ts";

/**
 * Runs `work` on the device that the flags ask for, which is gone afterwards, or on the one that `io` has. A software adapter is used only with a line
 * that says so.
 */
export async function withDevice<T>(
  flags: ModelFlags,
  io: Io,
  watch: Stopwatch,
  work: (device: Device) => Promise<T>,
): Promise<T> {
  const { adapter, memory: memoryBudget } = flags;
  const device =
    io.device ??
    (await watch.time("adapter", () =>
      openNodeDevice({ adapter, tuned: true, ...(memoryBudget !== undefined && { memoryBudget }) }),
    ));
  device.arithmetic = flags.arithmetic ?? "f32";
  try {
    io.signal.throwIfAborted();
    const { description, device: name, software } = device.info;
    if (software) say(io, `running on a software adapter, which is slow: ${description || name}`);
    else if (flags.verbose) say(io, `running on ${description || name}`);
    if (flags.profile) {
      if (device.caps.timestamps) device.profiler = new Profiler(device);
      else say(io, "--profile: the adapter has no timestamps, so that ops cannot be timed");
    }
    return await work(device);
  } finally {
    device.profiler = undefined;
    device.arithmetic = "f32";
    if (!io.device) device.dispose();
  }
}

/** What every command that ran a model tells with `--json`. */
export async function commonOutput(
  device: Device,
  flags: Settled<ModelFlags>,
  watch: Stopwatch,
): Promise<CommonOutput> {
  const profile = flags.profile && ((await device.profiler?.report()) ?? null);
  const { device: name, description, vendor, architecture, software } = device.info;
  const { peak, budget } = device.memory();
  return {
    model: flags.model ?? null,
    dtype: flags.dtype,
    arithmetic: flags.arithmetic ?? "f32",
    adapter: { name, description, vendor, architecture, software },
    timings: watch.report(),
    memory: { peak, budget: Number.isFinite(budget) ? budget : null },
    ...(profile !== undefined && profile !== false && { profile }),
    ...(flags.saveTensors !== undefined && { savedTensors: flags.saveTensors }),
  };
}
