import { type Device, formatBytes } from "@mask-llava/runtime";
import { clipLarge336 } from "./clip.ts";
import { llama7bLayer } from "./llama.ts";
import type { Measured } from "./measure.ts";
import { samBaseEncoder } from "./sam.ts";

/** Networks of real size with random weights, by name. */
export const realSizes: Readonly<Record<string, (device: Device) => Promise<Measured>>> = {
  "clip-l14-336": clipLarge336,
  "llama-7b-layer-prefill-104": (device) => llama7bLayer(device, 104),
  "llama-7b-layer-decode": (device) => llama7bLayer(device, 1),
  "sam-b-1024": samBaseEncoder,
};

export function formatMeasured(name: string, m: Measured): string {
  const rate = m.flops / m.run / 1e6;
  const times = `build ${m.build.toFixed(0)} ms, first run ${m.first.toFixed(0)} ms, run ${m.run.toFixed(0)} ms`;
  const bytes = `weights ${formatBytes(m.weights)}, program ${formatBytes(m.program)}, peak ${formatBytes(m.peak)}`;
  return `${name}: ${times}; ${m.dispatches} dispatches, ${rate.toFixed(2)} GFLOP/s; ${bytes}`;
}
