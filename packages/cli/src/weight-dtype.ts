import { findParts } from "@mask-llava/composer";
import {
  type Folder,
  type HeldReport,
  inspectCheckpoint,
  type KvDType,
  type LoadDType,
  type LoadReport,
  type WeightDType,
  weightDTypes,
} from "@mask-llava/models";
import { type Device, formatBytes } from "@mask-llava/runtime";
import type { GenerationFlags, ModelFlags } from "./flags.ts";
import { type Io, say } from "./io.ts";
import { holdsMaskLlava } from "./model-folder.ts";

/** Types of the weights of networks without a language model, of which nothing is quantised. */
export const floatDTypes = ["f32", "f16"] as const satisfies readonly WeightDType[];

/** Of the budget: what is left to intermediates. */
const share = 0.9;
/** Positions whose keys and values are counted with the weights: a conversation about a picture. */
const positions = 2048;

/** Types of the weights, and of keys and values; the latter undefined: what goes with the weights. */
interface DTypes {
  readonly dtype: LoadDType;
  readonly kvDtype?: KvDType;
}

/** Flags whose `--dtype` is settled. */
export type Settled<F extends Pick<ModelFlags, "dtype">> = F & DTypes;

/**
 * `--dtype` as it is given or, where it is not, the first of `choices` with which the weights and a KV cache fit the memory
 * budget: of quantised files first what they are. Beside quantised weights keys and values give way before the weights lose
 * more bits, unless `--kv-dtype` is given. Lines on stderr say where that is not the first of `choices`, and what becomes of
 * quantised weights that cannot stay as they are.
 */
export async function settleDtype<
  F extends Pick<ModelFlags, "dtype" | "arithmetic"> & Pick<GenerationFlags, "kvDtype">,
>(
  device: Device,
  flags: F,
  folder: Folder,
  io: Io,
  choices: readonly WeightDType[] = weightDTypes,
): Promise<Settled<F>> {
  // what is wrong with a checkpoint is loading's to say, which knows the names for it
  const loads = await loadReports(folder).catch(() => []);
  const quantized = loads.some(({ memory }) => memory.stored !== undefined);
  const given = flags.dtype && { dtype: flags.dtype, kvDtype: flags.kvDtype };
  const candidates = (quantized ? (["stored", "q8", "q4"] as const) : choices).flatMap((dtype) =>
    (flags.kvDtype ? [flags.kvDtype] : cacheDtypes(dtype)).map((kvDtype) => ({ dtype, kvDtype })),
  );
  const { dtype, kvDtype } = given ?? chooseDtypes(device, loads, candidates, io);
  if (quantized) for (const line of changedBy(dtype, loads)) say(io, line);
  sayIdleArithmetic({ ...flags, dtype }, io);
  return { ...flags, dtype, ...(kvDtype && { kvDtype }) };
}

/** Says where `--arithmetic reduced` has nothing to round to, so that nobody takes its times for reduced ones. */
export function sayIdleArithmetic(
  { dtype, arithmetic }: Pick<ModelFlags, "arithmetic"> & Pick<DTypes, "dtype">,
  io: Io,
): void {
  if (arithmetic !== "reduced" || dtype !== "f32") return;
  say(io, "--arithmetic reduced changes nothing: the weights are f32 (--dtype says otherwise)");
}

function chooseDtypes(
  device: Device,
  loads: readonly LoadReport[],
  candidates: readonly DTypes[],
  io: Io,
): DTypes {
  const { budget } = device.memory();
  const first = candidates[0] as DTypes;
  const needs = candidates
    .map((c) => [c, loads.reduce((sum, load) => sum + loadMemory(load, c), 0)] as const)
    .filter(([, need]) => loads.length > 0 && Number.isFinite(need));
  const fitting = needs.findIndex(([, need]) => need <= share * budget);
  const at = fitting < 0 ? needs.length - 1 : fitting;
  const [chosen, bytes] = needs[at] ?? [first, 0];
  if (chosen !== first) {
    const others = needs.slice(0, at).map(([c, need]) => `${formatBytes(need)} in ${named(c)}`);
    say(
      io,
      `the weights are loaded as ${named(chosen)}: with a context they take ${formatBytes(bytes)}, ${others.join(", ")}, of a budget of ${formatBytes(budget)} (--dtype, --kv-dtype and --memory say otherwise)`,
    );
  }
  return chosen;
}

function named({ dtype, kvDtype }: DTypes): string {
  return kvDtype === cacheDtype({ dtype }) ? dtype : `${dtype} with keys and values in ${kvDtype}`;
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
function loadMemory({ memory, context }: LoadReport, dtypes: DTypes): number {
  const { dtype } = dtypes;
  // networks of which nothing is quantised are as they are, too
  const weights = memory[dtype] ?? (dtype === "stored" ? memory.f16 : undefined) ?? Number.POSITIVE_INFINITY;
  const cached = context ? Math.min(1, positions / context.positions) : 0;
  return weights + cached * (context?.kvCache[cacheDtype(dtypes)] ?? 0);
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

/** The types that keys and values may have beside weights: halves and bytes are far finer than quantised weights. */
function cacheDtypes(dtype: LoadDType): readonly [KvDType, ...KvDType[]] {
  return dtype === "f32" || dtype === "f16" ? ["f32"] : ["f16", "q8"];
}

/** The type of keys and values: the first that goes with the weights, where nothing else is said. */
export function cacheDtype({ dtype, kvDtype }: DTypes): KvDType {
  return kvDtype ?? cacheDtypes(dtype)[0];
}
