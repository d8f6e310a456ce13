import { type DType, sizeOf } from "@mask-llava/runtime";
import {
  type Folder,
  fileBytes,
  floatDType,
  isStoredQuantized,
  type LoadDType,
  type StoredTensor,
  type StoredType,
  TensorIndex,
  weightDTypes,
} from "../checkpoint/index.ts";
import { KvCache, type KvDType, kvDTypes, type LlamaConfig } from "../llama/index.ts";
import { type Blueprint, blueprintOf } from "./blueprint.ts";
import { DryWeights } from "./dry-weights.ts";
import { identifyModel, type ModelKind } from "./model-kind.ts";

/** One stored tensor. */
export interface TensorReport {
  /** Name in the file. */
  readonly name: string;
  /** Name that the network asks for; null where the network does not take the tensor. */
  readonly takenAs: string | null;
  readonly file: string;
  readonly dtype: StoredType;
  readonly shape: readonly number[];
  readonly parameters: number;
  /** In the file. */
  readonly bytes: number;
}

export interface DTypeReport {
  readonly tensors: number;
  readonly parameters: number;
  readonly bytes: number;
}

/** Tensors that were quantised before they were stored, and as what they would be held on the GPU. */
export interface HeldReport {
  readonly stored: StoredType;
  readonly dtype: DType;
  readonly tensors: number;
}

/** What loading would do. */
export interface LoadReport {
  readonly tensors: number;
  readonly parameters: number;
  /** Buffers that nobody needs, by their names in the files. */
  readonly ignored: readonly string[];
  /** Parameters of each part of the network. */
  readonly parts: Readonly<Record<string, number>>;
  /**
   * Bytes of GPU memory for the weights by `--dtype`, of those that can be loaded; of quantised files also as they are
   * `stored`.
   */
  readonly memory: Readonly<Partial<Record<LoadDType, number>>>;
  /** What becomes of weights that are stored quantised, by the same; empty where none are. */
  readonly held: Readonly<Partial<Record<LoadDType, readonly HeldReport[]>>>;
  /** The language model's context, and bytes of GPU memory of a KV cache for all of it; null for other networks. */
  readonly context: {
    readonly positions: number;
    readonly kvCache: Readonly<Record<KvDType, number>>;
  } | null;
  /** Why loading would fail; empty where it would not. */
  readonly problems: readonly string[];
}

/** What a checkpoint folder holds, from its config.json and its tensors' headers alone. */
export interface CheckpointReport {
  readonly folder: string;
  readonly modelType: string;
  readonly architectures: readonly string[];
  /** Null where the network is not implemented. */
  readonly kind: ModelKind | null;
  /** The sizes that say what network it is, by their names in config.json. */
  readonly sizes: Readonly<Record<string, unknown>>;
  readonly parameters: number;
  readonly bytes: number;
  readonly dtypes: Readonly<Partial<Record<StoredType, DTypeReport>>>;
  readonly tensors: readonly TensorReport[];
  /** Null where the network is not implemented. */
  readonly load: LoadReport | null;
}

/** Inspects a checkpoint folder without a device. Throws ConfigError or CheckpointError where it cannot be understood. */
export async function inspectCheckpoint(folder: Folder): Promise<CheckpointReport> {
  const { modelType, architectures, kind, config } = await identifyModel(folder);
  const blueprint = kind && blueprintOf(kind, config);
  await using index = await TensorIndex.open(folder, { rename: blueprint?.names ?? [] });
  const dry = blueprint && dryWeights(blueprint, index);
  const tensors = [...index.tensors].map(([canonical, stored]) =>
    reportTensor(stored, dry?.plain.taken.has(canonical) ? canonical : null),
  );
  return {
    folder: folder.name,
    modelType,
    architectures,
    kind: kind ?? null,
    sizes: blueprint?.sizes ?? {},
    parameters: total(tensors, "parameters"),
    bytes: total(tensors, "bytes"),
    dtypes: byDType(tensors),
    tensors,
    load: blueprint && dry ? reportLoad(blueprint, index, tensors, dry) : null,
  };
}

/** What the network would take under each dtype, and under the one that is never wrong. */
interface Dry {
  readonly plain: DryWeights;
  readonly byDType: ReadonlyMap<LoadDType, DryWeights>;
}

function dryWeights(blueprint: Blueprint, index: TensorIndex): Dry {
  const dtypes: LoadDType[] = index.quantized ? ["stored", ...weightDTypes] : [...weightDTypes];
  const all = new Map(dtypes.map((dtype) => [dtype, dryBuild(blueprint, index, dtype)]));
  const plain = all.get(dtypes[0] as LoadDType) as DryWeights;
  // what is stored in planes cannot become everything
  const loadable = [...all].filter(([, dry]) => dry.problems.length <= plain.problems.length);
  return { plain, byDType: new Map(loadable) };
}

export function dryBuild(blueprint: Blueprint, index: TensorIndex, dtype: LoadDType): DryWeights {
  const dry = new DryWeights(index, dtype);
  blueprint.build(dry.weights, floatDType(dtype));
  return dry;
}

function heldIn(dry: DryWeights, index: TensorIndex): HeldReport[] {
  const held = new Map<string, HeldReport>();
  for (const [name, dtype] of dry.targets) {
    const stored = index.tensors.get(name)?.dtype;
    if (!stored || !isStoredQuantized(stored)) continue;
    const key = `${stored} ${dtype}`;
    held.set(key, { stored, dtype, tensors: (held.get(key)?.tensors ?? 0) + 1 });
  }
  return [...held.values()];
}

function reportTensor(stored: StoredTensor, takenAs: string | null): TensorReport {
  const { name, dtype, shape, source } = stored;
  const bytes = fileBytes(stored);
  return { name, takenAs, file: source.name, dtype, shape, parameters: sizeOf(shape), bytes };
}

function reportLoad(
  blueprint: Blueprint,
  index: TensorIndex,
  tensors: readonly TensorReport[],
  { plain, byDType }: Dry,
): LoadReport {
  const taken = tensors.filter(({ takenAs }) => takenAs !== null);
  const isIgnored = (name: string) => blueprint.ignored.some((pattern) => pattern.test(name));
  const left = [...index.tensors].filter(([canonical]) => !plain.taken.has(canonical));
  const unknown = left.filter(([canonical]) => !isIgnored(canonical));
  const parts: Record<string, number> = {};
  for (const { takenAs, parameters } of taken) {
    const part = blueprint.partOf(takenAs ?? "");
    parts[part] = (parts[part] ?? 0) + parameters;
  }
  const { language } = blueprint;
  return {
    tensors: taken.length,
    parameters: total(taken, "parameters"),
    ignored: left.filter(([canonical]) => isIgnored(canonical)).map(([, { name }]) => name),
    parts,
    memory: Object.fromEntries([...byDType].map(([dtype, dry]) => [dtype, dry.bytes])),
    held: index.quantized
      ? Object.fromEntries([...byDType].map(([dtype, dry]) => [dtype, heldIn(dry, index)]))
      : {},
    context: language && contextOf(language),
    problems: [
      ...new Set([
        ...plain.problems,
        ...unknown.map(([, { name }]) => `tensor ${JSON.stringify(name)} is not one of the network's`),
      ]),
    ],
  };
}

function contextOf(language: LlamaConfig): LoadReport["context"] {
  const capacity = language.max_position_embeddings;
  const bytes = kvDTypes.map((dtype) => [dtype, KvCache.bytes(language, { capacity, dtype })] as const);
  return { positions: capacity, kvCache: Object.fromEntries(bytes) as Record<KvDType, number> };
}

function byDType(tensors: readonly TensorReport[]): Partial<Record<StoredType, DTypeReport>> {
  const dtypes: Partial<Record<StoredType, DTypeReport>> = {};
  for (const { dtype, parameters, bytes } of tensors) {
    const before = dtypes[dtype] ?? { tensors: 0, parameters: 0, bytes: 0 };
    dtypes[dtype] = {
      tensors: before.tensors + 1,
      parameters: before.parameters + parameters,
      bytes: before.bytes + bytes,
    };
  }
  return dtypes;
}

function total(tensors: readonly TensorReport[], field: "parameters" | "bytes"): number {
  return tensors.reduce((sum, tensor) => sum + tensor[field], 0);
}
