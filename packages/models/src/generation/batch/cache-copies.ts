import { bytesPerElement, isQuantized, type PlaneRows, planeRows, type Tensor } from "@mask-llava/runtime";
import type { KvCache } from "../../llama/index.ts";
import type { ByteCopy } from "../../nn/index.ts";

/** A sequence's row of a cache. */
export interface CacheRow {
  readonly cache: KvCache;
  readonly row: number;
}

/** What it takes to copy the first positions of a sequence from one cache to another of the same dtype, of any capacities. */
export function cacheCopies(from: CacheRow, to: CacheRow, positions: number): ByteCopy[] {
  const [sources, targets] = [from, to].map(({ cache }) =>
    [...cache.keys, ...cache.values].flatMap(positionsOf),
  ) as [PlaneRows[], PlaneRows[]];
  return sources.map((source, i) => {
    const target = targets[i] as PlaneRows;
    const { rowBytes } = source;
    return {
      from: source.tensor,
      fromByte: source.offset + from.row * from.cache.capacity * rowBytes,
      to: target.tensor,
      toByte: target.offset + to.row * to.cache.capacity * rowBytes,
      // an odd number of halves takes a neighbour along, which nothing reads
      bytes: Math.ceil((positions * rowBytes) / 4) * 4,
    };
  });
}

/** Keys or values [B, capacity, Hkv, d] as rows that are positions: of elements, or of each plane. */
function positionsOf(tensor: Tensor): PlaneRows[] {
  const [, , kvHeads, size] = tensor.shape as [number, number, number, number];
  if (!isQuantized(tensor.dtype))
    return [{ tensor, offset: 0, rowBytes: kvHeads * size * bytesPerElement(tensor.dtype) }];
  const { quants, scales } = planeRows(tensor, kvHeads);
  return [quants, scales];
}
