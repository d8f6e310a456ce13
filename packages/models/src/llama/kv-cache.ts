import {
  bufferSize,
  byteLength,
  type Device,
  type DType,
  type Tensor,
  type TensorSpec,
} from "@mask-llava/runtime";
import { allOrNone } from "../nn/index.ts";
import type { LlamaConfig } from "./config.ts";

/** How keys and values are stored, from the most to the least memory. `q8` is q8_0: bytes, and a scale for each 32 of a head. */
export const kvDTypes = ["f32", "f16", "q8"] as const;
export type KvDType = (typeof kvDTypes)[number];

const tensorDTypes: Readonly<Record<KvDType, DType>> = { f32: "f32", f16: "f16", q8: "q8_0" };

export interface KvCacheOptions {
  /** Positions that fit. */
  readonly capacity: number;
  /** Sequences. Default 1. */
  readonly batch?: number;
  /** Default f32. */
  readonly dtype?: KvDType;
}

/** Of a layer's keys or values. [B, capacity, Hkv, d] */
function layerSpec(config: LlamaConfig, { capacity, batch = 1, dtype = "f32" }: KvCacheOptions): TensorSpec {
  const shape = [batch, capacity, config.num_key_value_heads, config.head_dim];
  return { shape, dtype: tensorDTypes[dtype] };
}

/** Keys and values of every layer. The caller owns it; programs that were recorded with it read and write it. */
export class KvCache implements Disposable {
  /** A layer's keys, rotated. [B, capacity, Hkv, d] */
  readonly keys: readonly Tensor[];
  /** A layer's values. [B, capacity, Hkv, d] */
  readonly values: readonly Tensor[];
  readonly batch: number;
  /** Positions that fit. */
  readonly capacity: number;

  /** Throws OutOfMemoryError where the budget does not allow it. */
  constructor(device: Device, config: LlamaConfig, options: KvCacheOptions) {
    const { capacity, batch = 1 } = options;
    this.batch = batch;
    this.capacity = capacity;
    const { num_hidden_layers: layers } = config;
    const spec = layerSpec(config, options);
    const bytes = 2 * layers * bufferSize(byteLength(spec));
    device.buffers.require(bytes, `the KV cache for ${capacity} positions`);
    const { keys, values } = allOrNone((own) => {
      const make = (kind: string) => (_: unknown, i: number) =>
        own(device.tensor({ ...spec, label: `kv-cache.${i}.${kind}` }));
      return {
        keys: Array.from({ length: layers }, make("keys")),
        values: Array.from({ length: layers }, make("values")),
      };
    });
    this.keys = keys;
    this.values = values;
  }

  /** Bytes of a cache's elements; the pool rounds each tensor up. */
  static bytes(config: LlamaConfig, options: KvCacheOptions): number {
    return 2 * config.num_hidden_layers * byteLength(layerSpec(config, options));
  }

  dispose(): void {
    for (const t of [...this.keys, ...this.values]) t.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
