import { sizeOf, type Tensor } from "@mask-llava/runtime";
import type { GraphBuilder } from "../onnx/graph.ts";
import { type Decoding, headsFirst } from "./fused-decoding.ts";
import { Untranslatable } from "./translation.ts";

function transposed(graph: GraphBuilder, x: string, perm: readonly number[]): string {
  return graph.apply("Transpose", [x], { attributes: { perm } });
}

/** softmax(scale · q kᵀ + bias) v, for q [B, H, Tq, D], k [B, H, D, Tk] and v [B, H, Tk, D] -> [B, Tq, H, D] */
function mix(
  graph: GraphBuilder,
  { q, k, v }: { q: string; k: string; v: string },
  scale: number,
  bias: string | undefined,
): string {
  const scaled = graph.apply("Mul", [q, graph.floats([scale], [1], "scale")]);
  const product = graph.apply("MatMul", [scaled, k]);
  const scores = bias ? graph.apply("Add", [product, bias]) : product;
  const weights = graph.apply("Softmax", [scores], { attributes: { axis: -1 } });
  return transposed(graph, graph.apply("MatMul", [weights, v]), [0, 2, 1, 3]);
}

/** Attention as an exporter writes it, for q, k and v [B, T, H, D]. */
export function composedAttention(
  graph: GraphBuilder,
  [q, k, v]: readonly [string, string, string],
  scale: number,
  bias: string | undefined,
): string {
  const parts = {
    q: transposed(graph, q, [0, 2, 1, 3]),
    k: transposed(graph, k, [0, 2, 3, 1]),
    v: transposed(graph, v, [0, 2, 1, 3]),
  };
  return mix(graph, parts, scale, bias);
}

/** The same of a decoder's prompt, q, k and v [B, T, H·D] -> [B, T, H·D]. */
export function composedPrompt(
  graph: GraphBuilder,
  [q, k, v]: readonly [string, string, string],
  { heads, scale, length, keys }: Decoding,
): string {
  const [batch, , kvHeads, size] = keys.shape as [number, number, number, number];
  if (kvHeads !== heads) throw new Untranslatable("attention: composed, with fewer heads of keys");
  const split = graph.integers([batch, length, heads, size]);
  const [queries, newKeys, newValues] = [q, k, v].map((x) => graph.apply("Reshape", [x, split]));
  const mask = length === 1 ? undefined : causalMask(graph, 0, length);
  const parts = [queries, newKeys, newValues] as [string, string, string];
  const mixed = composedAttention(graph, parts, scale, mask);
  return graph.apply("Reshape", [mixed, graph.integers([batch, length, heads * size])]);
}

/**
 * The same of later tokens, which find their own keys and values in the cache already, in the layout that suits the graph
 * best. An exported model would copy the cache to append to it. q [B, T, H·D] -> [B, T, H·D]
 */
export function composedStep(
  graph: GraphBuilder,
  q: string,
  { heads, scale, past, length, keys, values }: Decoding,
): string {
  const [batch, , kvHeads, size] = keys.shape as [number, number, number, number];
  if (kvHeads !== heads) throw new Untranslatable("attention: composed, with fewer heads of keys");
  const total = past + length;
  const cached = (cache: Tensor) => firstRows(graph.hostValues(cache), cache, total);
  const apart = graph.apply("Reshape", [q, graph.integers([batch, length, heads, size])]);
  const parts = {
    q: transposed(graph, apart, [0, 2, 1, 3]),
    k: graph.feed(
      "keys",
      graph.float,
      [batch, heads, size, total],
      lastAxesSwapped(cached(keys), total, size),
    ),
    v: graph.feed("values", graph.float, [batch, heads, total, size], cached(values)),
  };
  const mixed = mix(graph, parts, scale, length === 1 ? undefined : causalMask(graph, past, length));
  return graph.apply("Reshape", [mixed, graph.integers([batch, length, heads * size])]);
}

/** Very negative where a key comes after a query. [T, past + T] */
function causalMask(graph: GraphBuilder, past: number, length: number): string {
  const total = past + length;
  const low = graph.float === "f16" ? -65504 : -1e30;
  const mask = Float32Array.from({ length: length * total }, (_, i) =>
    i % total > past + Math.floor(i / total) ? low : 0,
  );
  return graph.floats(mask, [length, total], "causal mask");
}

/** The first rows of a cache [B, capacity, H, D], heads first. [B, H, rows, D] */
function firstRows(data: ArrayLike<number>, cache: Tensor, rows: number): Float32Array {
  const [batch, capacity, heads, size] = cache.shape as [number, number, number, number];
  const row = heads * size;
  const kept = Float32Array.from({ length: batch * rows * row }, (_, i) => {
    const item = Math.floor(i / (rows * row));
    return data[item * capacity * row + (i % (rows * row))] as number;
  });
  return headsFirst(kept, [batch, rows, heads, size]);
}

/** Matrices [.., rows, columns] -> [.., columns, rows] */
function lastAxesSwapped(data: Float32Array, rows: number, columns: number): Float32Array {
  const area = sizeOf([rows, columns]);
  return data.map((_, i) => {
    const [start, at] = [i - (i % area), i % area];
    return data[start + (at % rows) * columns + Math.floor(at / rows)] as number;
  });
}
