import { findParts } from "@mask-llava/composer";
import {
  type Folder,
  type HeldReport,
  inspectCheckpoint,
  type LoadDType,
  type LoadReport,
  type WeightDType,
  weightDTypes,
} from "@mask-llava/models";
import { type Device, formatBytes } from "@mask-llava/runtime";
import type { ModelFlags } from "./flags.ts";
import { type Io, say } from "./io.ts";
import { holdsMaskLlava } from "./model-folder.ts";

/** Types of the weights of networks without a language model, of which nothing is quantised. */
export const floatDTypes = ["f32", "f16"] as const satisfies readonly WeightDType[];

/** Of the budget: what is left to intermediates. */
const share = 0.9;
/** Positions whose keys and values are counted with the weights: a conversation about a picture. */
const positions = 2048;

/** Flags whose `--dtype` is settled. */
export type Settled<F extends Pick<ModelFlags, "dtype">> = F & { readonly dtype: LoadDType };

/**
 * `--dtype` as it is given or, where it is not, the first of `choices` with which the weights and a KV cache fit the memory
 * budget: of quantised files first what they are. Lines on stderr say where that is not the first of `choices`, and what
 * becomes of quantised weights that cannot stay as they are.
 */
export async function settleDtype<F extends ModelFlags>(
  device: Device,
  flags: F,
  folder: Folder,
  io: Io,
  choices: readonly WeightDType[] = weightDTypes,
): Promise<Settled<F>> {
  // what is wrong with a checkpoint is loading's to say, which knows the names for it
  const loads = await loadReports(folder).catch(() => []);
  const quantized = loads.some(({ memory }) => memory.stored !== undefined);
  const dtype = flags.dtype ?? chooseDtype(device, loads, quantized ? ["stored", "q8", "q4"] : choices, io);
  if (quantized) for (const line of changedBy(dtype, loads)) say(io, line);
  return { ...flags, dtype };
}

function chooseDtype(
  device: Device,
  loads: readonly LoadReport[],
  choices: readonly LoadDType[],
  io: Io,
): LoadDType {
  const { budget } = device.memory();
  const first = choices[0] as LoadDType;
  const needs = choices
    .map((c) => [c, loads.reduce((sum, load) => sum + loadMemory(load, c), 0)] as const)
    .filter(([, need]) => loads.length > 0 && Number.isFinite(need));
  const fitting = needs.findIndex(([, need]) => need <= share * budget);
  const chosen = fitting < 0 ? needs.length - 1 : fitting;
  const [dtype, bytes] = needs[chosen] ?? [first, 0];
  if (dtype !== first) {
    const others = needs.slice(0, chosen).map(([c, need]) => `${formatBytes(need)} in ${c}`);
    say(
      io,
      `the weights are loaded as ${dtype}: with a context they take ${formatBytes(bytes)}, ${others.join(", ")}, of a budget of ${formatBytes(budget)} (--dtype and --memory say otherwise)`,
    );
  }
  return dtype;
}

/** What becomes of quantised weights that do not stay as they are, a line for each kind. */
function changedBy(dtype: LoadDType, loads: readonly LoadReport[]): string[] {
  const changed = loads
    .flatMap(({ held }) => held[dtype] ?? [])
    .filter(({ stored, dtype: to }) => !isSame(stored, to));
  const to = [...new Set(changed.map((h) => h.dtype))];
  return to.map((target) => {
    const from = changed
      .filter((h) => h.dtype === target)
      .map(({ stored, tensors }) => `${tensors} of ${stored}`);
    const verb = target === "f32" || target === "f16" ? "dequantised" : "quantised anew";
    return `tensors ${verb} to ${target}: ${from.join(", ")}`;
  });
}

/** Whether a dtype holds the very numbers of what is stored: Q4_0 and q4_0. */
const isSame = (stored: HeldReport["stored"], dtype: HeldReport["dtype"]) => stored.toLowerCase() === dtype;

/** Bytes of GPU memory for the weights and a KV cache; infinite for what cannot be loaded so. */
function loadMemory({ memory, context }: LoadReport, dtype: LoadDType): number {
  // networks of which nothing is quantised are as they are, too
  const weights = memory[dtype] ?? (dtype === "stored" ? memory.f16 : undefined) ?? Number.POSITIVE_INFINITY;
  const cached = context ? Math.min(1, positions / context.positions) : 0;
  return weights + cached * (context?.kvCache[defaultCacheDtype(dtype)] ?? 0);
}

/** Reads headers only. */
async function loadReports(folder: Folder): Promise<LoadReport[]> {
  const reports: LoadReport[] = [];
  for (const part of await networkFolders(folder)) {
    const { load } = await inspectCheckpoint(part);
    if (load) reports.push(load);
  }
  return reports;
}

async function networkFolders(folder: Folder): Promise<Folder[]> {
  if (!(await holdsMaskLlava(folder))) return [folder];
  const { vision, detector, segmenter, language } = await findParts(folder);
  return [vision, detector, segmenter, language].filter((part) => part !== undefined);
}

/** The type of keys and values where no flag says so: halves are far finer than quantised weights. */
export function defaultCacheDtype(dtype: LoadDType): "f32" | "f16" {
  return dtype === "f32" || dtype === "f16" ? "f32" : "f16";
}
