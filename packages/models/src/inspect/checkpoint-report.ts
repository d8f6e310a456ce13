import { sizeOf } from "@mask-llava/runtime";
import {
  type Folder,
  floatDType,
  type StoredDType,
  type StoredTensor,
  TensorIndex,
  type WeightDType,
  weightDTypes,
} from "../checkpoint/index.ts";
import { KvCache } from "../llama/index.ts";
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
  readonly dtype: StoredDType;
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

/** What loading would do. */
export interface LoadReport {
  readonly tensors: number;
  readonly parameters: number;
  /** Buffers that nobody needs, by their names in the files. */
  readonly ignored: readonly string[];
  /** Parameters of each part of the network. */
  readonly parts: Readonly<Record<string, number>>;
  /** Bytes of GPU memory for the weights, by `--dtype`. */
  readonly memory: Readonly<Record<WeightDType, number>>;
  /** The language model's context, and bytes of GPU memory of a KV cache for all of it; null for other networks. */
  readonly context: {
    readonly positions: number;
    readonly kvCache: Readonly<Record<"f32" | "f16", number>>;
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
  readonly dtypes: Readonly<Partial<Record<StoredDType, DTypeReport>>>;
  readonly tensors: readonly TensorReport[];
  /** Null where the network is not implemented. */
  readonly load: LoadReport | null;
}

/** Inspects a checkpoint folder without a device. Throws ConfigError or CheckpointError where it cannot be understood. */
export async function inspectCheckpoint(folder: Folder): Promise<CheckpointReport> {
  const { modelType, architectures, kind, config } = await identifyModel(folder);
  const blueprint = kind && blueprintOf(kind, config);
  await using index = await TensorIndex.open(folder, { rename: blueprint?.names ?? [] });
  const dry = blueprint && byWeightDType((dtype): DryWeights => build(blueprint, index, dtype));
  const tensors = [...index.tensors].map(([canonical, stored]) =>
    reportTensor(stored, dry?.f32.taken.has(canonical) ? canonical : null),
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

function byWeightDType<T>(make: (dtype: WeightDType) => T): Record<WeightDType, T> {
  return Object.fromEntries(weightDTypes.map((dtype) => [dtype, make(dtype)])) as Record<WeightDType, T>;
}

function build(blueprint: Blueprint, index: TensorIndex, dtype: WeightDType): DryWeights {
  const dry = new DryWeights(index, dtype);
  blueprint.build(dry.weights, floatDType(dtype));
  return dry;
}

function reportTensor(stored: StoredTensor, takenAs: string | null): TensorReport {
  const { name, dtype, shape, source, begin, end } = stored;
  return { name, takenAs, file: source.name, dtype, shape, parameters: sizeOf(shape), bytes: end - begin };
}

function reportLoad(
  blueprint: Blueprint,
  index: TensorIndex,
  tensors: readonly TensorReport[],
  dry: Readonly<Record<WeightDType, DryWeights>>,
): LoadReport {
  const taken = tensors.filter(({ takenAs }) => takenAs !== null);
  const isIgnored = (name: string) => blueprint.ignored.some((pattern) => pattern.test(name));
  const left = [...index.tensors].filter(([canonical]) => !dry.f32.taken.has(canonical));
  const unknown = left.filter(([canonical]) => !isIgnored(canonical));
  const parts: Record<string, number> = {};
  for (const { takenAs, parameters } of taken) {
    const part = blueprint.partOf(takenAs ?? "");
    parts[part] = (parts[part] ?? 0) + parameters;
  }
  const { language } = blueprint;
  const cache = (dtype: "f32" | "f16") =>
    language ? KvCache.bytes(language, { capacity: language.max_position_embeddings, dtype }) : 0;
  return {
    tensors: taken.length,
    parameters: total(taken, "parameters"),
    ignored: left.filter(([canonical]) => isIgnored(canonical)).map(([, { name }]) => name),
    parts,
    memory: byWeightDType((dtype) => dry[dtype].bytes),
    context: language && {
      positions: language.max_position_embeddings,
      kvCache: { f32: cache("f32"), f16: cache("f16") },
    },
    problems: [
      ...new Set([
        ...dry.f32.problems,
        ...unknown.map(([, { name }]) => `tensor ${JSON.stringify(name)} is not one of the network's`),
      ]),
    ],
  };
}

function byDType(tensors: readonly TensorReport[]): Partial<Record<StoredDType, DTypeReport>> {
  const dtypes: Partial<Record<StoredDType, DTypeReport>> = {};
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
