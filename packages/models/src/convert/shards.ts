import { isQuantized } from "@mask-llava/runtime";
import {
  layoutSafetensors,
  planeTensors,
  type QuantizedEntry,
  quantizedKey,
  type StoredDType,
  type TensorToWrite,
} from "../checkpoint/index.ts";
import { type ConvertedTensor, convertedBytes } from "./plan.ts";

/** As Hugging Face's files are cut. */
export const maxShardBytes = 5e9;

/** One file of a checkpoint that is written. */
export interface Shard {
  readonly file: string;
  readonly tensors: readonly ConvertedTensor[];
  readonly head: Uint8Array<ArrayBuffer>;
  /** Where the bytes of each stored tensor begin. */
  readonly offsets: ReadonlyMap<string, number>;
  readonly size: number;
}

/** The files for weights in this order; a weight's planes stay together. */
export function planShards(tensors: readonly ConvertedTensor[], most = maxShardBytes): Shard[] {
  const groups: ConvertedTensor[][] = [[]];
  let filled = 0;
  for (const tensor of tensors) {
    const bytes = convertedBytes(tensor);
    if (filled > 0 && filled + bytes > most) {
      groups.push([]);
      filled = 0;
    }
    (groups.at(-1) as ConvertedTensor[]).push(tensor);
    filled += bytes;
  }
  return groups.map((group, i) => {
    const file =
      groups.length === 1
        ? "model.safetensors"
        : `model-${String(i + 1).padStart(5, "0")}-of-${String(groups.length).padStart(5, "0")}.safetensors`;
    return { file, tensors: group, ...layoutSafetensors(group.flatMap(storedTensors), metadataOf(group)) };
  });
}

/** The tensors of a file that hold a weight. */
export function storedTensors({ name, stored, target, kept }: ConvertedTensor): TensorToWrite[] {
  const { shape } = stored;
  if (!isQuantized(target)) return [{ name, dtype: kept ?? elementType(target), shape }];
  const { quants, scales } = planeTensors(name, { dtype: target, shape });
  return [
    { ...quants, dtype: "U8" },
    { ...scales, dtype: "F16" },
  ];
}

function elementType(target: string): StoredDType {
  const type = ({ f32: "F32", f16: "F16", i32: "I32", u32: "U32" } as const)[target];
  if (type) return type;
  throw new RangeError(`no element type of files for ${target}`);
}

function metadataOf(tensors: readonly ConvertedTensor[]): Record<string, string> {
  const quantized = tensors.flatMap(({ name, target, stored }): [string, QuantizedEntry][] =>
    isQuantized(target) ? [[name, { dtype: target, shape: stored.shape }]] : [],
  );
  return {
    format: "pt",
    ...(quantized.length > 0 && { [quantizedKey]: JSON.stringify(Object.fromEntries(quantized)) }),
  };
}

/** model.safetensors.index.json; undefined for one file. */
export function shardIndex(shards: readonly Shard[]): object | undefined {
  if (shards.length === 1) return undefined;
  const total = shards.reduce((n, { size, head }) => n + size - head.byteLength, 0);
  const map = shards.flatMap(({ file, offsets }) => [...offsets.keys()].map((name) => [name, file] as const));
  return { metadata: { total_size: total }, weight_map: Object.fromEntries(map) };
}
