import { findParts } from "@mask-llava/composer";
import { type Folder, inspectCheckpoint, type WeightDType, weightDTypes } from "@mask-llava/models";
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
export type Settled<F extends Pick<ModelFlags, "dtype">> = F & { readonly dtype: WeightDType };

/**
 * `--dtype` as it is given or, where it is not, the first of `choices` with which the weights and a KV cache fit the memory
 * budget. A line on stderr says so where that is not the first.
 */
export async function settleDtype<F extends ModelFlags>(
  device: Device,
  flags: F,
  folder: Folder,
  io: Io,
  choices: readonly WeightDType[] = weightDTypes,
): Promise<Settled<F>> {
  if (flags.dtype !== undefined) return { ...flags, dtype: flags.dtype };
  const { budget } = device.memory();
  // what is wrong with a checkpoint is loading's to say, which knows the names for it
  const need = await loadMemory(folder).catch(() => undefined);
  const dtype =
    (need && choices.find((c) => need[c] <= share * budget)) ?? (need ? choices.at(-1) : choices[0]);
  if (dtype === undefined) throw new RangeError("settleDtype: no choices");
  if (need && dtype !== choices[0]) {
    const others = choices.slice(0, choices.indexOf(dtype)).map((c) => `${formatBytes(need[c])} in ${c}`);
    say(
      io,
      `the weights are loaded as ${dtype}: with a context they take ${formatBytes(need[dtype])}, ${others.join(", ")}, of a budget of ${formatBytes(budget)} (--dtype and --memory say otherwise)`,
    );
  }
  return { ...flags, dtype };
}

/** Bytes of GPU memory for the weights and a KV cache, by `--dtype`. Reads headers only. */
async function loadMemory(folder: Folder): Promise<Record<WeightDType, number>> {
  const total: Record<WeightDType, number> = { f32: 0, f16: 0, q8: 0, q4: 0 };
  for (const part of await networkFolders(folder)) {
    const { load } = await inspectCheckpoint(part);
    if (!load) continue;
    const { context } = load;
    const cached = context ? Math.min(1, positions / context.positions) : 0;
    for (const dtype of weightDTypes) {
      const cache = context?.kvCache[defaultCacheDtype(dtype)] ?? 0;
      total[dtype] += load.memory[dtype] + cached * cache;
    }
  }
  return total;
}

async function networkFolders(folder: Folder): Promise<Folder[]> {
  if (!(await holdsMaskLlava(folder))) return [folder];
  const { vision, detector, segmenter, language } = await findParts(folder);
  return [vision, detector, segmenter, language].filter((part) => part !== undefined);
}

/** The type of keys and values where no flag says so: halves are far finer than quantised weights. */
export function defaultCacheDtype(dtype: WeightDType): "f32" | "f16" {
  return dtype === "q8" || dtype === "q4" ? "f16" : "f32";
}
