import type { HostTensor } from "../../host-tensor.ts";
import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { Random } from "../../random.ts";
import type { DType } from "../../tensor.ts";
import { attentionOp } from "./index.ts";
import type { AttentionInputs, AttentionParams } from "./spec.ts";

interface Options {
  readonly batch?: number;
  readonly tq: number;
  readonly tk: number;
  readonly heads?: number;
  readonly kvHeads?: number;
  readonly size: number;
  readonly dtype?: DType;
  readonly causal?: boolean;
  /** Position of the first query, one for each batch item. */
  readonly start?: readonly number[];
  /** Leading axes of the bias. */
  readonly bias?: readonly [number, number, number];
  /** Which keys of the bias are masked, and how. */
  readonly masks?: (query: number, key: number) => boolean;
  readonly maskValue?: number;
  readonly relative?: readonly [number, number];
  readonly scale?: number;
  readonly benchOnly?: boolean;
}

function maskedBias(r: Random, options: Options): HostTensor | undefined {
  const { bias, masks, tk, maskValue = Number.NEGATIVE_INFINITY } = options;
  if (!bias) return undefined;
  const random = r.normals([...bias, tk]);
  if (!masks) return random;
  const data = random.data.map((value, at) =>
    masks(Math.floor(at / tk) % bias[2], at % tk) ? maskValue : value,
  );
  return hostTensor(random.shape, "f32", data);
}

function attentionCase(name: string, options: Options): OpCase<AttentionInputs, AttentionParams> {
  const { batch = 1, tq, tk, heads = 1, kvHeads = heads, size, dtype = "f32", causal = false } = options;
  const { start, relative, scale = 1 / Math.sqrt(size), benchOnly = false } = options;
  return {
    name: `${name}: q ${batch}x${tq}x${heads}x${size}, kv ${tk}x${kvHeads} ${dtype}`,
    params: { scale, causal },
    inputs: (r) => ({
      q: r.normals([batch, tq, heads, size]),
      k: r.normals([batch, tk, kvHeads, size], { dtype }),
      v: r.normals([batch, tk, kvHeads, size], { dtype }),
      start: start && hostTensor([batch], "u32", start),
      bias: maskedBias(r, options),
      relH: relative && r.normals([batch, heads, tq, relative[0]]),
      relW: relative && r.normals([batch, heads, tq, relative[1]]),
    }),
    // scores of size 1 carry an f32 error of about sqrt(D)·2^-24, and exp() 2 ulp and as much again from large
    // arguments; outputs are averages of values of size 1, so these stay absolute errors of a few 1e-6
    tolerance: { abs: 5e-6, rel: 5e-6 },
    benchOnly,
  };
}

export const attentionSuite = suite(attentionOp, [
  attentionCase("one of all", { tq: 1, tk: 1, size: 1 }),
  attentionCase("odd sizes", { batch: 2, tq: 7, tk: 13, heads: 3, size: 5 }),
  attentionCase("encoder", { batch: 2, tq: 70, tk: 70, heads: 2, size: 64 }),
  attentionCase("head of 80, cross", { tq: 19, tk: 41, heads: 2, size: 80, dtype: "f16" }),
  attentionCase("head of 17, a scale", { tq: 21, tk: 50, heads: 2, size: 17, scale: 0.5 }),
  attentionCase("head of 128, grouped, causal", {
    batch: 2,
    tq: 37,
    tk: 37,
    heads: 4,
    kvHeads: 2,
    size: 128,
    causal: true,
  }),
  attentionCase("head of 256", { tq: 18, tk: 19, heads: 1, size: 256, causal: true }),
  // 8x8 tiles of it exceed 32 KiB, 4x4 ones fit 16 KiB
  attentionCase("head of 508", { tq: 17, tk: 9, size: 508, dtype: "f16" }),
  attentionCase("causal, more queries than keys", { tq: 66, tk: 5, heads: 2, size: 8, causal: true }),
  attentionCase("cache, prefill", {
    batch: 2,
    tq: 30,
    tk: 90,
    heads: 4,
    kvHeads: 1,
    size: 6,
    dtype: "f16",
    causal: true,
    start: [0, 47],
  }),
  attentionCase("cache, f16, decode", {
    batch: 3,
    tq: 1,
    tk: 200,
    heads: 8,
    kvHeads: 2,
    size: 64,
    dtype: "f16",
    causal: true,
    start: [0, 131, 199],
  }),
  attentionCase("cache, decode", {
    batch: 2,
    tq: 1,
    tk: 1040,
    heads: 3,
    size: 128,
    causal: true,
    start: [1039, 20],
  }),
  attentionCase("cache, odd head, decode of two", {
    tq: 2,
    tk: 50,
    heads: 3,
    kvHeads: 1,
    size: 5,
    dtype: "f16",
    causal: true,
    start: [33],
  }),
  attentionCase("cache, long, decode", {
    tq: 1,
    tk: 1300,
    heads: 4,
    kvHeads: 2,
    size: 32,
    dtype: "f16",
    causal: true,
    start: [1100],
  }),
  // four rows of these heads exceed 16 KiB of workgroup memory
  ...[256, 512].map((size) =>
    attentionCase("cache, large head, decode, grouped", {
      batch: 2,
      tq: 1,
      tk: 150,
      heads: 8,
      kvHeads: 2,
      size,
      dtype: "f16",
      causal: true,
      start: [149, 40],
    }),
  ),
  attentionCase("cache in q8_0, prefill, grouped", {
    batch: 2,
    tq: 21,
    tk: 70,
    heads: 4,
    kvHeads: 2,
    size: 128,
    dtype: "q8_0",
    causal: true,
    start: [0, 47],
  }),
  attentionCase("cache in q8_0, prefill, more queries than fit the tile", {
    tq: 70,
    tk: 80,
    size: 32,
    dtype: "q8_0",
    causal: true,
    start: [9],
  }),
  // an odd number of groups a head: scales of two rows share a word
  attentionCase("cache in q8_0, decode, head of 80", {
    batch: 3,
    tq: 1,
    tk: 67,
    heads: 3,
    size: 80,
    dtype: "q8_0",
    causal: true,
    start: [0, 66, 31],
  }),
  attentionCase("cache in q8_0, long, decode, grouped", {
    batch: 2,
    tq: 1,
    tk: 1030,
    heads: 2,
    kvHeads: 1,
    size: 64,
    dtype: "q8_0",
    causal: true,
    start: [1029, 20],
  }),
  attentionCase("cache in q8_0, odd head, decode of two", {
    tq: 2,
    tk: 50,
    heads: 3,
    kvHeads: 1,
    size: 45,
    dtype: "q8_0",
    causal: true,
    start: [33],
  }),
  attentionCase("q8_0, odd head, a bias of all", {
    tq: 66,
    tk: 23,
    size: 6,
    dtype: "q8_0",
    bias: [1, 1, 66],
  }),
  attentionCase("q8_0, head of 80, cross", { tq: 19, tk: 41, size: 80, dtype: "q8_0" }),
  attentionCase("q8_0, head of 508", { tq: 17, tk: 9, size: 508, dtype: "q8_0" }),
  attentionCase("bias of all, rows and keys masked", {
    batch: 2,
    tq: 33,
    tk: 40,
    heads: 2,
    size: 16,
    bias: [2, 2, 33],
    masks: (i, j) => i === 3 || j % 3 === 1 || (i > 20 && j > 8),
  }),
  attentionCase("bias of keys, masked as PyTorch's minimum", {
    batch: 2,
    tq: 17,
    tk: 20,
    heads: 2,
    size: 16,
    bias: [2, 1, 1],
    masks: (_, j) => j > 14,
    maskValue: -3.4028234663852886e38,
  }),
  attentionCase("bias of heads, causal", {
    tq: 3,
    tk: 19,
    heads: 4,
    kvHeads: 2,
    size: 16,
    bias: [1, 4, 3],
    causal: true,
  }),
  attentionCase("benchmark, CLIP's encoder", { tq: 577, tk: 577, heads: 4, size: 64, benchOnly: true }),
  ...(["f16", "q8_0"] as const).flatMap((dtype) => [
    attentionCase("benchmark, LLaMA's prefill", {
      tq: 617,
      tk: 1024,
      heads: 2,
      size: 128,
      dtype,
      causal: true,
      start: [0],
      benchOnly: true,
    }),
    attentionCase("benchmark, LLaMA's decoding", {
      tq: 1,
      tk: 1024,
      heads: 32,
      size: 128,
      dtype,
      causal: true,
      start: [616],
      benchOnly: true,
    }),
  ]),
  attentionCase("benchmark, SAM's global block", {
    tq: 1024,
    tk: 4096,
    heads: 1,
    size: 64,
    relative: [64, 64],
    benchOnly: true,
  }),
  attentionCase("decomposed relative positions", {
    batch: 2,
    tq: 22,
    tk: 35,
    heads: 2,
    size: 16,
    relative: [5, 7],
  }),
]);
