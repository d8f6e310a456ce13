import { type FileHandle, open, writeFile } from "node:fs/promises";
import path from "node:path";
import { CancelledError, type Device, type DType } from "@mask-llava/runtime";
import { CheckpointError, type Folder, quantizationConfig } from "../checkpoint/index.ts";
import {
  type ConversionPlan,
  type ConvertDType,
  convertedBytes,
  isQuantizedTensor,
  planConversion,
  planShards,
  readConverted,
  type Shard,
  shardIndex,
} from "../convert/index.ts";
import { writeFolder } from "./write-folder.ts";

/** Files beside the weights that a checkpoint's readers know; those that are there are copied. */
const sideFiles = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
  "chat_template.json",
  "preprocessor_config.json",
  "processor_config.json",
];

export interface ConvertOptions {
  readonly signal?: AbortSignal | undefined;
  /** Bytes written, and in all. */
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  /** Bytes of weights in one file at most; default 5 GB, as Hugging Face's. */
  readonly maxShardBytes?: number;
}

export interface ConvertedCheckpoint {
  readonly files: readonly string[];
  /** Of the weights. */
  readonly bytes: number;
  /** Weights by the GPU type that they are stored for. */
  readonly tensors: Readonly<Partial<Record<DType, number>>>;
}

/**
 * Writes a checkpoint's weights as `dtype` to the folder `out`, with its configuration, tokenizer and processor files: what
 * loading it as that gives, bit by bit, without its work. `out` must be absent or empty; it is filled
 * when all is written (`writeFolder`).
 */
export async function convertCheckpoint(
  device: Device,
  folder: Folder,
  dtype: ConvertDType,
  out: string,
  options: ConvertOptions = {},
): Promise<ConvertedCheckpoint> {
  await using plan = await planConversion(folder, dtype);
  return await writeFolder(out, (at) => fill(device, folder, plan, at, options)).catch((cause) => {
    const { syscall, message } = cause as NodeJS.ErrnoException;
    if (syscall === undefined) throw cause;
    throw new CheckpointError(`cannot be written: ${message}`, { file: out }, { cause });
  });
}

async function fill(
  device: Device,
  folder: Folder,
  plan: ConversionPlan,
  at: string,
  options: ConvertOptions,
): Promise<ConvertedCheckpoint> {
  const shards = planShards(plan.tensors, options.maxShardBytes);
  const total = plan.tensors.reduce((n, tensor) => n + convertedBytes(tensor), 0);
  let done = 0;
  for (const shard of shards) {
    await writeShard(device, shard, path.join(at, shard.file), options, (bytes) => {
      done += bytes;
      options.onProgress?.(done, total);
    });
  }
  const files = shards.map(({ file }) => file);
  const index = shardIndex(shards);
  if (index) files.push(await writeJson(at, "model.safetensors.index.json", index));
  files.push(await writeJson(at, "config.json", convertedConfig(plan)));
  for (const file of sideFiles) if (await copy(folder, file, at)) files.push(file);
  const tensors: Partial<Record<DType, number>> = {};
  for (const { target } of plan.tensors) tensors[target] = (tensors[target] ?? 0) + 1;
  return { files, bytes: total, tensors };
}

async function writeShard(
  device: Device,
  { tensors, head, offsets }: Shard,
  file: string,
  { signal }: ConvertOptions,
  onBytes: (bytes: number) => void,
): Promise<void> {
  const handle = await open(file, "wx");
  try {
    await writeAt(handle, head, 0);
    for (const tensor of tensors) {
      if (signal?.aborted) throw new CancelledError("converting was cancelled");
      for (const { name, bytes } of await readConverted(device, tensor, { signal })) {
        await writeAt(handle, bytes, offsets.get(name) as number);
        onBytes(bytes.byteLength);
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, at, bytes.byteLength - at, position + at);
    at += bytesWritten;
  }
}

function convertedConfig({ config, tensors }: ConversionPlan): object {
  const { torch_dtype: _, dtype: __, ...rest } = config as Record<string, unknown>;
  const quantized = tensors.some(isQuantizedTensor);
  return { ...rest, dtype: "float16", ...(quantized && { quantization_config: quantizationConfig }) };
}

async function writeJson(at: string, file: string, json: object): Promise<string> {
  await writeFile(path.join(at, file), `${JSON.stringify(json, null, 2)}\n`);
  return file;
}

/** Copies a file of the checkpoint; false where there is none. */
async function copy(folder: Folder, file: string, at: string): Promise<boolean> {
  const source = await folder.open(file);
  if (!source) return false;
  try {
    await writeFile(path.join(at, file), await source.read(0, await source.size()));
    return true;
  } finally {
    await source.close?.();
  }
}
