import { attentionOp, ropeAppendOp, type Tensor } from "@mask-llava/runtime";
import type { GraphBuilder } from "../onnx/graph.ts";
import type { TracedCall } from "../traced-recorder.ts";
import { composedAttention, composedPrompt, composedStep } from "./composed-attention.ts";
import { fusedDecoding } from "./fused-decoding.ts";
import {
  type Call,
  callOf,
  type Reshaped,
  type Translation,
  translation,
  Untranslatable,
} from "./translation.ts";

type AttentionCall = typeof attentionOp extends { infer(inputs: infer I, params: infer P): unknown }
  ? Call<I, P>
  : never;

const microsoft = "com.microsoft" as const;

/** [B, T, H, D] as [B, T, H·D]: the same memory. */
function joined(t: Tensor): Tensor {
  const [batch, length, heads, size] = t.shape as [number, number, number, number];
  return t.reshape([batch, length, heads * size]);
}

/** Not causal: MultiHeadAttention, or its parts. */
function mixAll(graph: GraphBuilder, { inputs, params, output }: AttentionCall): Reshaped {
  const { q, k, v } = inputs;
  if (q.shape[2] !== k.shape[2]) throw new Untranslatable("attention: not causal, with fewer heads of keys");
  const bias = attentionBias(graph, inputs);
  if (!graph.fused) {
    const parts = [graph.read(q), graph.read(k), graph.read(v)] as const;
    return { value: composedAttention(graph, parts, params.scale, bias), shape: output.shape };
  }
  const given = [q, k, v].map((t) => graph.read(joined(t)));
  const value = graph.apply("MultiHeadAttention", [...given, ...(bias ? ["", "", bias] : [])], {
    domain: microsoft,
    attributes: { num_heads: q.shape[2] as number, scale: { float: params.scale } },
  });
  return { value, shape: joined(output).shape };
}

/** What is added to the scores: a bias as it is, relative positions spread over the keys. */
function attentionBias(
  graph: GraphBuilder,
  { bias, relH, relW }: AttentionCall["inputs"],
): string | undefined {
  if (bias) return graph.read(bias);
  if (!relH || !relW) return undefined;
  const [batch, heads, queries, rows] = relH.shape as [number, number, number, number];
  const columns = relW.shape[3] as number;
  const spread = graph.apply("Add", [
    graph.read(relH.reshape([batch, heads, queries, rows, 1])),
    graph.read(relW.reshape([batch, heads, queries, 1, columns])),
  ]); // [B, H, Tq, kh, kw]
  return graph.apply("Reshape", [spread, graph.integers([batch, heads, queries, rows * columns])]);
}

/** The position of the first query, the same for every item of a batch. */
function startOf(graph: GraphBuilder, start: Tensor): number {
  const [first, ...others] = Array.from(graph.hostValues(start));
  if (first === undefined || others.some((s) => s !== first))
    throw new Untranslatable("attention: items that start at different positions");
  return first;
}

/** Causal, over keys that are all there already: this call's are fed as new ones, those before them as the cache. */
function mixPast(graph: GraphBuilder, { inputs, params, output }: AttentionCall): Reshaped {
  const { q, k, v, start, bias, relH } = inputs;
  if (bias || relH) throw new Untranslatable("attention: causal with a bias");
  const [batch, length, heads] = q.shape as [number, number, number];
  const [, capacity, kvHeads, size] = k.shape as [number, number, number, number];
  const past = start ? startOf(graph, start) : capacity - length;
  const width = kvHeads * size;
  const newRows = (t: Tensor): string => {
    const data = graph.hostValues(t);
    const rows = Float32Array.from({ length: batch * length * width }, (_, i) => {
      const [item, at] = [Math.floor(i / (length * width)), i % (length * width)];
      return data[(item * capacity + past) * width + at] as number;
    });
    return graph.feed(`new.${t.label}`, graph.float, [batch, length, width], rows);
  };
  const queries = graph.read(joined(q));
  const decoding = { heads, scale: params.scale, past, length, keys: k, values: v };
  const { shape } = joined(output);
  if (!graph.fused && past > 0) return { value: composedStep(graph, queries, decoding), shape };
  const qkv = [queries, newRows(k), newRows(v)] as const;
  return { value: (graph.fused ? fusedDecoding : composedPrompt)(graph, qkv, decoding), shape };
}

/** Tables for positions below `count`. [count, rot/2] */
function rotaryTables(graph: GraphBuilder, invFreq: Tensor, count: number, scaling: number) {
  const frequencies = Array.from(graph.hostValues(invFreq));
  const table = (f: (angle: number) => number, name: string): string => {
    const values = Array.from({ length: count }, (_, p) => frequencies.map((w) => scaling * f(p * w)));
    return graph.floats(values.flat(), [count, frequencies.length], name);
  };
  return { cos: table(Math.cos, "cos"), sin: table(Math.sin, "sin") };
}

type RopeCall = typeof ropeAppendOp extends { infer(inputs: infer I, params: infer P): unknown }
  ? Call<I, P>
  : never;

/** Queries, keys and values, and what queries and keys are when turned. [B, T, H·D], [B, T, Hkv·D] each */
function rotated(graph: GraphBuilder, { inputs: { qkv, kCache, invFreq, start }, params }: RopeCall) {
  const [batch, length, width] = qkv.shape as [number, number, number];
  const keyWidth = (kCache.shape[2] as number) * (kCache.shape[3] as number);
  const widths = graph.integers([width - 2 * keyWidth, keyWidth, keyWidth]);
  const [q, k, v] = graph.node("Split", [graph.read(qkv), widths], 3, { attributes: { axis: 2 } }) as [
    string,
    string,
    string,
  ];
  const past = startOf(graph, start);
  const { cos, sin } = rotaryTables(graph, invFreq, past + length, params.attentionScaling);
  const steps = Array.from({ length: batch * length }, (_, i) => past + (i % length));
  const positions = graph.feed("positions", "i64", [batch, length], steps);
  const rotate = (x: string): string =>
    graph.apply("RotaryEmbedding", [x, positions, cos, sin], { domain: microsoft });
  return { queries: rotate(q), keys: rotate(k), values: v, keyShape: [batch, length, keyWidth] };
}

export const attentions: readonly Translation[] = [
  translation(attentionOp, (graph, call) => (call.params.causal ? mixPast : mixAll)(graph, call)),
  // rotation alone: ONNX Runtime appends to a cache only inside of its attention, so it has less to do here than we
  translation(ropeAppendOp, (graph, call) => {
    const { queries, keys, keyShape } = rotated(graph, call);
    graph.result(keys, keyShape);
    return { value: queries, shape: joined(call.output).shape };
  }),
];

/** Whether the second call attends to the cache that the first has appended to, with what it has rotated. */
export function isDecoderAttention(rope: TracedCall, mix: TracedCall | undefined): boolean {
  return (
    rope.op === ropeAppendOp.name &&
    mix?.op === attentionOp.name &&
    mix.inputs.q?.storage === rope.outputs[0]?.storage &&
    mix.inputs.k?.storage === rope.inputs.kCache?.storage
  );
}

/** RoPE, append and attention of a decoder's layer in one. */
export function decoderAttention(graph: GraphBuilder, ropeCall: TracedCall, mixCall: TracedCall): Reshaped {
  const rope = callOf(ropeAppendOp, ropeCall);
  const { params, output } = callOf(attentionOp, mixCall);
  const { qkv, invFreq, start, kCache: keys, vCache: values } = rope.inputs;
  const [, length, heads] = output.shape as [number, number, number];
  const decoding = { heads, scale: params.scale, past: startOf(graph, start), length, keys, values };
  const { shape } = joined(output);
  if (graph.fused) {
    const capacity = keys.shape[1] as number;
    const rotary = rotaryTables(graph, invFreq, capacity, rope.params.attentionScaling);
    // without keys and values of their own, queries have them packed behind
    const packed = [graph.read(qkv), "", ""] as const;
    return { value: fusedDecoding(graph, packed, { ...decoding, rotary }), shape };
  }
  const turned = rotated(graph, rope);
  const parts = [turned.queries, turned.keys, turned.values] as const;
  if (decoding.past === 0) return { value: composedPrompt(graph, parts, decoding), shape };
  // what a cache would be given is still computed
  for (const value of [turned.keys, turned.values]) graph.result(value, turned.keyShape);
  return { value: composedStep(graph, turned.queries, decoding), shape };
}
