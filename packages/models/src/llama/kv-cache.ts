import type { Device, Tensor } from "@mask-llava/runtime";
import type { LlamaConfig } from "./config.ts";

/** Keys and values of every layer. The caller owns it; programs that were recorded with it read and write it. */
export class KvCache implements Disposable {
  /** A layer's keys, rotated. [B, capacity, Hkv, d] */
  readonly keys: readonly Tensor[];
  /** A layer's values. [B, capacity, Hkv, d] */
  readonly values: readonly Tensor[];
  readonly batch: number;
  /** Positions that fit. */
  readonly capacity: number;

  constructor(
    device: Device,
    config: LlamaConfig,
    options: { capacity: number; batch?: number; dtype?: "f32" | "f16" },
  ) {
    const { capacity, batch = 1, dtype = "f32" } = options;
    this.batch = batch;
    this.capacity = capacity;
    device.buffers.require(KvCache.bytes(config, options), `the KV cache for ${capacity} positions`);
    const shape = [batch, capacity, config.num_key_value_heads, config.head_dim];
    const make = (kind: string) => (_: unknown, i: number) =>
      device.tensor({ shape, dtype, label: `kv-cache.${i}.${kind}` });
    this.keys = Array.from({ length: config.num_hidden_layers }, make("keys"));
    this.values = Array.from({ length: config.num_hidden_layers }, make("values"));
  }

  /** GPU memory that a cache takes. */
  static bytes(
    config: LlamaConfig,
    options: { capacity: number; batch?: number; dtype?: "f32" | "f16" },
  ): number {
    const { capacity, batch = 1, dtype = "f32" } = options;
    const row = config.num_key_value_heads * config.head_dim * (dtype === "f16" ? 2 : 4);
    return 2 * config.num_hidden_layers * batch * capacity * row;
  }

  dispose(): void {
    for (const t of [...this.keys, ...this.values]) t.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
