import type { Activation, DType, Shape } from "@mask-llava/runtime";
import {
  attentionOp,
  conv2dOp,
  embeddingOp,
  hostTensor,
  layerNormOp,
  matmulOp,
  rmsNormOp,
  ropeAppendOp,
  ropeFrequencies,
  siluMulOp,
  softmaxOp,
} from "@mask-llava/runtime";
import type { Size } from "../common/sizes.ts";
import { type KernelCase, kernelCase, uniform } from "./cases.ts";
import { FastRandom } from "./fast-random.ts";
import { maskInversionCases } from "./shapes-mask-inversion.ts";
import { placeCases } from "./shapes-places.ts";

/** By how much widths and pixels are divided; heads keep their size, and so do kernels. */
const divisor = { tiny: 16, small: 4, real: 1 } as const;

/** A width scaled down, to a multiple of 32 as those of the networks are. */
function width(n: number, size: Size): number {
  return Math.ceil(n / divisor[size] / 32) * 32;
}

/** Rows (tokens) scaled down at `tiny` only, as they choose among kernels. */
function rowsOf(n: number, size: Size): number {
  return size === "tiny" ? Math.ceil(n / 8) : n;
}

interface Product {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly dtype?: DType;
  /** Of A: q8_0 for products of integers. */
  readonly aDtype?: DType;
  readonly activation?: Activation;
  readonly bias?: boolean;
  /** RMS norm of A by the product itself, as decoding runs it. */
  readonly normed?: boolean;
  /** Both products of a gated MLP: activation(A Bᵀ) · (A Upᵀ). */
  readonly gated?: boolean;
}

function product(what: string, p: Product, size: Size): KernelCase {
  const { dtype = "f32", aDtype = "f32", activation = "none", bias, normed, gated } = p;
  const types = aDtype === "f32" ? dtype : `${aDtype} by ${dtype}`;
  const extras = [bias && " bias", normed && " normed", gated && " gated"].filter(Boolean).join("");
  const [m, n, k] = [p.m <= 4 ? p.m : rowsOf(p.m, size), width(p.n, size), width(p.k, size)];
  const made = kernelCase(matmulOp, `${what} ${m}x${n}x${k} ${types}${extras} ${activation}`, {
    params: { transposeB: true, activation, scale: 1, eps: 1e-6 },
    // a sum of K products of size 1/sqrt(K): f32 rounding grows like sqrt(K)·2^-24 of a value of size 1
    tolerance: { abs: 4e-7 * Math.max(8, Math.sqrt(k)), rel: 4e-6 },
    inputs: () => ({
      a: uniform([m, k], { dtype: aDtype }),
      b: uniform([n, k], { dtype, deviation: 1 / Math.sqrt(k) }),
      bias: bias ? uniform([n]) : undefined,
      residual: undefined,
      gain: normed ? uniform([k], { mean: 1, deviation: 0.2 }) : undefined,
      up: gated ? uniform([n, k], { dtype, deviation: 1 / Math.sqrt(k) }) : undefined,
    }),
  });
  return size === "tiny" ? made : { ...made, scaledDown: product(what, p, "tiny") };
}

/** What others quote their speed on: 1024 cubed, but at `tiny`. */
function squareProduct(size: Size): KernelCase {
  const n = size === "tiny" ? 128 : 1024;
  return product("GEMM", { m: n, n, k: n }, "real");
}

/** CLIP ViT-L/14-336, LLaVA-1.5's tower: D 1024, 577 tokens. */
function clipProducts(size: Size): KernelCase[] {
  const m = 577;
  return [
    product("CLIP q/k/v/out", { m, n: 1024, k: 1024, bias: true }, size),
    product("CLIP fc1", { m, n: 4096, k: 1024, bias: true, activation: "quick_gelu" }, size),
    product("CLIP fc2", { m, n: 1024, k: 4096, bias: true, dtype: "f16" }, size),
    product("CLIP fc1", { m, n: 4096, k: 1024, bias: true, dtype: "f16", activation: "gelu" }, size),
  ];
}

/** LLaMA-7B: D 4096, F 11008. Prefill rows are of a prompt with 8 masks' tokens, with 64+, and with all 576 patches. */
function llamaProducts(size: Size): KernelCase[] {
  const dtypes = ["f32", "f16", "q8_0", "q4_0"] as const;
  const quantized = ["q8_0", "q4_0"] as const;
  return [
    ...[104, 185, 617].map((m) => product("LLaMA q/k/v/o", { m, n: 4096, k: 4096, dtype: "f16" }, size)),
    product("LLaMA q/k/v", { m: 185, n: 3 * 4096, k: 4096, dtype: "f16" }, size),
    product("LLaMA gate/up", { m: 617, n: 11008, k: 4096, dtype: "f16" }, size),
    product("LLaMA down", { m: 617, n: 4096, k: 11008, dtype: "f16" }, size),
    product("LLaMA q/k/v/o", { m: 185, n: 4096, k: 4096 }, size),
    ...quantized.flatMap((dtype) => [
      ...[104, 185, 617].map((m) => product("LLaMA q/k/v/o", { m, n: 4096, k: 4096, dtype }, size)),
      // a few sequences, or a few tokens, at once
      product("LLaMA decode q/k/v/o", { m: 4, n: 4096, k: 4096, dtype }, size),
      ...[1, 185].map((m) => product("LLaMA q/k/v/o", { m, n: 4096, k: 4096, dtype, aDtype: "q8_0" }, size)),
    ]),
    ...dtypes.flatMap((dtype) => [
      product("LLaMA decode q/k/v/o", { m: 1, n: 4096, k: 4096, dtype }, size),
      product("LLaMA decode gate/up", { m: 1, n: 11008, k: 4096, dtype }, size),
      product("LLaMA decode down", { m: 1, n: 4096, k: 11008, dtype }, size),
      product("LLaMA decode norm, q/k/v", { m: 1, n: 3 * 4096, k: 4096, dtype, normed: true }, size),
      product(
        "LLaMA decode norm, SiLU(gate)*up",
        { m: 1, n: 11008, k: 4096, dtype, normed: true, gated: true, activation: "silu" },
        size,
      ),
    ]),
    ...(["f16", "q8_0"] as const).map((dtype) =>
      product("LLaMA decode head", { m: 1, n: 32000, k: 4096, dtype }, size),
    ),
  ];
}

interface Attended {
  readonly batch: number;
  readonly tq: number;
  readonly tk: number;
  readonly heads: number;
  readonly d: number;
  readonly dtype?: "f32" | "f16";
  /** Causal: position of the first query. */
  readonly start?: number;
  readonly relative?: readonly [number, number];
}

function attended(what: string, s: Attended): KernelCase {
  const { batch, tq, tk, heads, d, dtype = "f32", start, relative } = s;
  return kernelCase(attentionOp, `${what} ${batch}x${tq}x${heads}x${d} on ${tk} ${dtype}`, {
    params: { scale: 1 / Math.sqrt(d), causal: start !== undefined },
    // scores of size 1 carry an f32 error of about sqrt(D)·2^-24 and exp() 2 ulp; outputs average values of size 1
    tolerance: { abs: 5e-6, rel: 5e-6 },
    inputs: () => ({
      q: uniform([batch, tq, heads, d]),
      k: uniform([batch, tk, heads, d], { dtype }),
      v: uniform([batch, tk, heads, d], { dtype }),
      start: start === undefined ? undefined : hostTensor([batch], "u32", Array(batch).fill(start)),
      bias: undefined,
      relH: relative && uniform([batch, heads, tq, relative[0]]),
      relW: relative && uniform([batch, heads, tq, relative[1]]),
    }),
  });
}

/** Fewer heads and windows at small sizes; SAM's global block has fewer patches at `tiny`. */
function attentionCases(size: Size): KernelCase[] {
  const heads = (n: number) => Math.max(1, n / divisor[size]);
  const tokens = rowsOf(577, size);
  const side = { tiny: 16, small: 32, real: 64 }[size];
  const windows = { tiny: 1, small: 5, real: 25 }[size];
  const context = { tiny: 128, small: 704, real: 704 }[size];
  const prefill = rowsOf(617, size);
  return [
    attended("CLIP", { batch: 1, tq: tokens, tk: tokens, heads: heads(16), d: 64 }),
    attended("SAM-B window", {
      ...{ batch: windows, tq: 196, tk: 196, heads: heads(12), d: 64 },
      relative: [14, 14],
    }),
    attended("SAM-B global", {
      ...{ batch: 1, tq: side ** 2, tk: side ** 2, heads: heads(12), d: 64 },
      relative: [side, side],
    }),
    attended("LLaMA prefill", {
      ...{ batch: 1, tq: prefill, tk: context, heads: heads(32), d: 128 },
      ...{ dtype: "f16", start: 0 },
    }),
    attended("LLaMA decode", {
      ...{ batch: 1, tq: 1, tk: context, heads: heads(32), d: 128 },
      ...{ dtype: "f16", start: context - 1 },
    }),
  ];
}

function convolution(
  what: string,
  x: Shape,
  weight: Shape,
  { stride = 1, padding = 0 }: { stride?: number; padding?: number },
): KernelCase {
  const k = weight.slice(1).reduce((a, b) => a * b, 1);
  return kernelCase(conv2dOp, `${what} [${x}] [${weight}] s${stride}`, {
    params: {
      stride: [stride, stride],
      padding: [padding, padding],
      dilation: [1, 1],
      groups: 1,
      activation: "none",
      addFirst: false,
    },
    // as for products of K terms
    tolerance: { abs: 4e-7 * Math.max(8, Math.sqrt(k)), rel: 4e-6 },
    inputs: () => ({
      x: uniform(x),
      weight: uniform(weight, { deviation: 1 / Math.sqrt(k) }),
      bias: uniform([weight[0] as number]),
      residual: undefined,
    }),
  });
}

/** ResNet-50 on an 800x1333 picture, and the patch embeddings. Channels are kept but at `tiny`. */
function convolutions(size: Size): KernelCase[] {
  const side = { tiny: 8, small: 4, real: 1 }[size];
  const channels = (n: number) => (size === "tiny" ? n / 4 : n);
  const map = (c: number, h: number, w: number) => [1, c, Math.ceil(h / side), Math.ceil(w / side)];
  const block = channels(128);
  return [
    convolution("ResNet stem 7x7", map(3, 800, 1333), [64, 3, 7, 7], { stride: 2, padding: 3 }),
    convolution("ResNet 3x3 s2", map(block, 200, 334), [block, block, 3, 3], { stride: 2, padding: 1 }),
    convolution("ResNet 3x3", map(block, 100, 167), [block, block, 3, 3], { padding: 1 }),
    convolution("ResNet 1x1", map(2 * block, 100, 167), [block, 2 * block, 1, 1], {}),
    convolution("CLIP patches", map(3, 336, 336), [width(1024, size), 3, 14, 14], { stride: 14 }),
  ];
}

function rowCases(size: Size): KernelCase[] {
  const m = (n: number) => rowsOf(n, size);
  const w = (n: number) => width(n, size);
  const affine = (d: number) => uniform([d], { mean: 1, deviation: 0.2 });
  const layer = (what: string, rows: number, d: number) =>
    kernelCase(layerNormOp, `${what} [${rows}, ${d}]`, {
      params: { eps: 1e-5 },
      // outputs of size 1 to 5 from sums of at most 64 terms a thread and a tree: some 16 roundings
      tolerance: { abs: 2.1e-6, rel: 2e-6 },
      inputs: () => ({ x: uniform([rows, d], { mean: 0.3 }), weight: affine(d), bias: uniform([d]) }),
    });
  const rms = (rows: number, d: number) =>
    kernelCase(rmsNormOp, `LLaMA [${rows}, ${d}]`, {
      params: { eps: 1e-6 },
      // a sum of squares does not cancel: relative errors only
      tolerance: { abs: 1e-7, rel: 2e-6 },
      inputs: () => ({ x: uniform([rows, d]), weight: affine(d) }),
    });
  const soft = (what: string, shape: Shape) =>
    kernelCase(softmaxOp, `${what} [${shape}]`, {
      params: {},
      // exp() is within a few ulp, and x - max is rounded at most 2^-24·|x|
      tolerance: { abs: 1e-7, rel: 6e-6 },
      inputs: () => ({ x: uniform(shape, { deviation: 3 }) }),
    });
  const gated = [m(617), w(11008)];
  return [
    layer("CLIP", m(577), w(1024)),
    layer("SAM-B", m(4096), w(768)),
    rms(1, w(4096)),
    rms(m(617), w(4096)),
    soft("CLIP", [w(16 * 32) / 32, m(577), m(577)]),
    soft("vocabulary", [1, w(32000)]),
    kernelCase(siluMulOp, `LLaMA [${gated}]`, {
      params: {},
      // exp is good to 3 ulp and 2 for its argument's rounding; then a sum, a quotient and a product
      tolerance: { abs: 1e-6, rel: 3e-6 },
      inputs: () => ({ gate: uniform(gated, { deviation: 2 }), up: uniform(gated) }),
    }),
    embedded(m(617), [w(32000), w(4096)]),
    appended("prefill", m(617), 0, size),
    appended("decode", 1, m(704) - 4, size),
  ];
}

/** Rows of a table of f16 by random ids. */
function embedded(tokens: number, [rows, d]: readonly [number, number]): KernelCase {
  const random = new FastRandom(5);
  return kernelCase(embeddingOp, `LLaMA ${tokens} of [${rows}, ${d}] f16`, {
    params: {},
    tolerance: { abs: 0, rel: 0 },
    inputs: () => ({
      table: uniform([rows, d], { dtype: "f16" }),
      ids: hostTensor(
        [1, tokens],
        "u32",
        Array.from({ length: tokens }, () => random.integer(0, rows)),
      ),
    }),
  });
}

/** RoPE, and the append to a cache of 704 tokens. */
function appended(what: string, rows: number, start: number, size: Size): KernelCase {
  const [heads, d, capacity] = [32 / divisor[size], 128, rowsOf(704, size)];
  return kernelCase(ropeAppendOp, `LLaMA ${what} ${rows}x${heads}x${d} to ${start} of ${capacity} f16`, {
    params: { attentionScaling: 1 },
    // a half has 11 bits; cos and sin are within 2e-7
    tolerance: { abs: 2e-6, rel: 2 ** -11 * 1.01 },
    inputs: () => ({
      qkv: uniform([1, rows, 3 * heads * d]),
      invFreq: hostTensor([d / 2], "f32", ropeFrequencies({ head_dim: d }).inverseFrequencies),
      start: hostTensor([1], "u32", [start]),
      kCache: uniform([1, capacity, heads, d], { dtype: "f16" }),
      vCache: uniform([1, capacity, heads, d], { dtype: "f16" }),
    }),
  });
}

/** The shapes that the networks run, at a size. */
export function networkCases(size: Size): KernelCase[] {
  return [
    squareProduct(size),
    ...clipProducts(size),
    ...llamaProducts(size),
    ...attentionCases(size),
    ...convolutions(size),
    ...rowCases(size),
    ...placeCases(size),
    ...maskInversionCases(size),
  ];
}
