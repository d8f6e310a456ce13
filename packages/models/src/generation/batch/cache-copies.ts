import { bytesPerElement, sizeOf, type Tensor } from "@mask-llava/runtime";
import type { KvCache } from "../../llama/index.ts";
import type { ByteCopy } from "../../nn/index.ts";

/** A sequence's row of a cache. */
export interface CacheRow {
  readonly cache: KvCache;
  readonly row: number;
}

/** What it takes to copy the first positions of a sequence from one cache to another, of any capacities. */
export function cacheCopies(from: CacheRow, to: CacheRow, positions: number): ByteCopy[] {
  const tensors = (cache: KvCache) => [...cache.keys, ...cache.values];
  const targets = tensors(to.cache);
  return tensors(from.cache).map((source, i) => {
    const target = targets[i] as Tensor;
    const position = sizeOf(source.shape.slice(2)) * bytesPerElement(source.dtype);
    return {
      from: source,
      fromByte: from.row * from.cache.capacity * position,
      to: target,
      toByte: to.row * to.cache.capacity * position,
      // an odd number of halves takes a neighbour along, which nothing reads
      bytes: Math.ceil((positions * position) / 4) * 4,
    };
  });
}
