import type { Shape, Tensor } from "@mask-llava/runtime";
import type { GraphBuilder } from "../onnx/graph.ts";

/** A decoder's causal attention over a cache. */
export interface Decoding {
  readonly heads: number;
  readonly scale: number;
  /** Positions that were cached before this call. */
  readonly past: number;
  /** Positions of this call. */
  readonly length: number;
  /** [B, capacity, Hkv, D] */
  readonly keys: Tensor;
  readonly values: Tensor;
  /** Turn queries and keys first. [positions, rot/2] each */
  readonly rotary?: { readonly cos: string; readonly sin: string };
}

/** GroupQueryAttention that writes its cache in place, which is how ONNX Runtime's own generator runs decoders. */
export function fusedDecoding(
  graph: GraphBuilder,
  qkv: readonly [string, string, string],
  { heads, scale, past, length, keys, values, rotary }: Decoding,
): string {
  const [batch, capacity, kvHeads, size] = keys.shape as [number, number, number, number];
  const shape = [batch, kvHeads, capacity, size];
  const feed = (name: string, cache: Tensor): string =>
    graph.feed(name, graph.float, shape, headsFirst(graph.hostValues(cache), cache.shape));
  const [pastKeys, pastValues] = [feed("past.keys", keys), feed("past.values", values)];
  const total = past + length;
  const lengths = [
    graph.integers(Array<number>(batch).fill(total - 1), "i32"),
    graph.integers([total], "i32"),
  ];
  const tables = rotary ? [rotary.cos, rotary.sin] : [];
  const [mixed, presentKeys, presentValues] = graph.node(
    "GroupQueryAttention",
    [...qkv, pastKeys, pastValues, ...lengths, ...tables],
    3,
    {
      domain: "com.microsoft",
      attributes: {
        num_heads: heads,
        kv_num_heads: kvHeads,
        scale: { float: scale },
        do_rotary: rotary ? 1 : 0,
      },
    },
  ) as [string, string, string];
  graph.result(presentKeys, shape, { inPlaceOf: pastKeys });
  graph.result(presentValues, shape, { inPlaceOf: pastValues });
  return mixed;
}

/** [B, T, H, D] -> [B, H, T, D] */
export function headsFirst(data: ArrayLike<number>, shape: Shape): Float32Array {
  const [batch, length, heads, size] = shape as [number, number, number, number];
  const out = new Float32Array(data.length);
  let to = 0;
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < heads; h++) {
      for (let t = 0; t < length; t++) {
        const from = ((b * length + t) * heads + h) * size;
        for (let c = 0; c < size; c++) out[to++] = data[from + c] as number;
      }
    }
  }
  return out;
}
