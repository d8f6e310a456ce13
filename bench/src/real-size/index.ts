import { type Device, formatBytes } from "@mask-llava/runtime";
import { clipLarge336 } from "./clip.ts";
import { deformableDetrR50 } from "./detr.ts";
import { llama7bLayer } from "./llama.ts";
import { maskInversionLarge336 } from "./mask-inversion.ts";
import { runSamRealSize, samBaseEncoder } from "./sam.ts";

/** What a run reports: milliseconds (build, first, run), counts, FLOPs and bytes (weights, program, peak). */
export type RealSizeReport = Readonly<Record<string, number>>;

/** Networks of real size with random weights, by name. */
export const realSizes: Readonly<Record<string, (device: Device) => Promise<RealSizeReport>>> = {
  "clip-l14-336": async (device) => ({ ...(await clipLarge336(device)) }),
  "llama-7b-layer-prefill-104": async (device) => ({ ...(await llama7bLayer(device, 104, "f16")) }),
  "llama-7b-layer-decode": async (device) => ({ ...(await llama7bLayer(device, 1, "f16")) }),
  "llama-7b-layer-prefill-104-q4": async (device) => ({ ...(await llama7bLayer(device, 104, "q4")) }),
  "llama-7b-layer-decode-q4": async (device) => ({ ...(await llama7bLayer(device, 1, "q4")) }),
  "sam-b-1024": async (device) => ({ ...(await samBaseEncoder(device)) }),
  "sam-b-30-boxes": async (device) => ({ ...(await runSamRealSize(device)) }),
  "deformable-detr-r50-800x1333": async (device) => ({ ...(await deformableDetrR50(device)) }),
  "mask-inversion-l14-336-30-masks": async (device) => ({ ...(await maskInversionLarge336(device)) }),
};

const byteFields = new Set(["weights", "program", "peak"]);
const timeFields = new Set(["build", "first", "run", "encode", "decode"]);

export function formatReport(name: string, report: RealSizeReport): string {
  const fields = Object.entries(report).map(([field, value]) => {
    if (byteFields.has(field)) return `${field} ${formatBytes(value)}`;
    if (timeFields.has(field)) return `${field} ${value.toFixed(0)} ms`;
    return field === "flops" ? `${(value / 1e9).toFixed(0)} GFLOP` : `${field} ${value}`;
  });
  const { flops, run } = report;
  if (flops && run) fields.push(`${(flops / run / 1e6).toFixed(2)} GFLOP/s`);
  return `${name}: ${fields.join(", ")}`;
}
