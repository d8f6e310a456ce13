import type { Activation } from "../../activation.ts";
import { type OpCase, suite } from "../../op-case.ts";
import type { DType, Shape } from "../../tensor.ts";
import { matmulOp } from "./index.ts";
import type { MatmulInputs, MatmulParams } from "./spec.ts";

interface Options {
  readonly transposeB?: boolean;
  readonly dtype?: DType;
  readonly aDtype?: DType;
  readonly activation?: Activation;
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly scale?: number;
  /** An RMS norm of A first. */
  readonly norm?: boolean;
  /** A second matrix that gates the product. */
  readonly gated?: boolean;
  readonly benchOnly?: boolean;
}

function matmulCase(a: Shape, b: Shape, options: Options = {}): OpCase<MatmulInputs, MatmulParams> {
  const {
    transposeB = true,
    dtype = "f32",
    aDtype = "f32",
    activation = "none",
    bias,
    residual,
    scale = 1,
    norm = false,
    gated = false,
    benchOnly = false,
  } = options;
  const n = (transposeB ? b.at(-2) : b.at(-1)) as number;
  const k = a.at(-1) as number;
  const parts = [norm && "norm", gated && "gated", bias && "bias", activation, residual && "residual"];
  const fused = parts.filter(Boolean).join("+");
  const types = aDtype === "f32" ? dtype : `${aDtype} by ${dtype}`;
  return {
    name: `${JSON.stringify(a)} ${JSON.stringify(b)}${transposeB ? "T" : ""} ${types} ${fused}`,
    params: { transposeB, activation, scale, ...(norm && { eps: 1e-5 }) },
    inputs: (r) => ({
      a: r.normals(a, { dtype: aDtype }),
      b: r.normals(b, { dtype, scale: 1 / Math.sqrt(k) }),
      bias: bias ? r.normals([n]) : undefined,
      residual: residual ? r.normals([...a.slice(0, -1), n]) : undefined,
      gain: norm ? r.normals([k], { mean: 1, scale: 0.2 }) : undefined,
      up: gated ? r.normals(b, { dtype, scale: 1 / Math.sqrt(k) }) : undefined,
    }),
    // a sum of K products of size 1/sqrt(K): f32 rounding grows like sqrt(K)·2^-24 of a value of size 1
    tolerance: { abs: 4e-7 * Math.max(8, Math.sqrt(k)), rel: 4e-6 },
    benchOnly,
  };
}

const activations: Activation[] = ["relu", "gelu", "gelu_tanh", "quick_gelu", "silu", "sigmoid"];

const f16 = { dtype: "f16" } as const;
const plainB = { transposeB: false } as const;

/** Shapes on and off every tile's edges (8, 32, 64, 128), and K that is and is not a multiple of 4, 8 and 16. */
export const matmulSuite = suite(matmulOp, [
  matmulCase([1, 1], [1, 1]),
  matmulCase([33, 17], [65, 17], { bias: true }),
  matmulCase([64, 64], [64, 64]),
  matmulCase([150, 40], [70, 40], { bias: true, activation: "gelu", residual: true }),
  matmulCase([2, 9, 31], [35, 31], { bias: true, residual: true, activation: "silu" }),
  matmulCase([37], [41, 37]),
  matmulCase([5, 37], [37, 41], { ...plainB, scale: 0.25 }),
  matmulCase([70, 44], [44, 136], { ...plainB, scale: 0.25 }),
  matmulCase([35, 20], [20, 33], { ...plainB, ...f16 }),
  matmulCase([3, 19, 23], [3, 29, 23], { scale: 0.5 }),
  matmulCase([2, 3, 40, 16], [2, 3, 40, 16], { scale: 0.5 }),
  matmulCase([4, 13, 11], [4, 11, 9], plainB),
  matmulCase([2, 18, 24], [2, 24, 12], plainB),
  matmulCase([17, 33], [31, 33], { ...f16, residual: true }),
  matmulCase([40, 128], [96, 128], { ...f16, activation: "gelu", bias: true }),
  matmulCase([21, 36], [45, 36], f16),
  ...activations.map((activation) => matmulCase([10, 20], [30, 20], { activation, bias: true })),
  // both in f16: their products are exact in f32, so that nothing but the order of sums is left to differ
  matmulCase([1, 40], [24, 40], { aDtype: "f16", ...f16 }),
  matmulCase([70, 96], [130, 96], { aDtype: "f16", ...f16, bias: true, activation: "gelu", residual: true }),
  matmulCase([2, 33, 37], [67, 37], { aDtype: "f16", ...f16, scale: 0.5 }),
  matmulCase([3, 20, 72], [3, 40, 72], { aDtype: "f16", ...f16 }),
  matmulCase([19, 42], [42, 31], { aDtype: "f16", ...f16, ...plainB, bias: true }),
  // up to four rows of A: matrix-vector products
  matmulCase([3, 5], [7, 5]),
  matmulCase([4, 260], [37, 260], { bias: true, activation: "gelu_tanh", residual: true }),
  matmulCase([1, 512], [131, 512], { bias: true, residual: true }),
  matmulCase([1, 300], [77, 300], { ...f16, bias: true }),
  matmulCase([1, 1032], [129, 1032], { ...f16, activation: "silu", residual: true }),
  matmulCase([2, 141], [19, 141], f16),
  matmulCase([3, 264], [45, 264], { ...f16, scale: 0.125, bias: true }),
  matmulCase([5, 1, 64], [5, 30, 64], { scale: 0.125 }),
  matmulCase([3, 2, 72], [3, 11, 72], f16),
  // normed on the way, gated, and both: sizes that no tile of any kernel divides
  ...(["f32", "f16", "q8_0", "q4_0", "q4_1"] as const).flatMap((dtype) => [
    matmulCase([1, 288], [67, 288], { dtype, norm: true, bias: true, residual: true }),
    matmulCase([3, 1056], [33, 1056], { dtype, norm: true, scale: 0.5 }),
    matmulCase([1, 96], [45, 96], { dtype, gated: true, activation: "silu" }),
    matmulCase([2, 2, 544], [130, 544], { dtype, norm: true, gated: true, activation: "gelu" }),
    matmulCase([1, 544], [131, 544], { dtype, norm: true, gated: true, activation: "silu" }),
  ]),
  matmulCase([1, 77], [45, 77], { norm: true, gated: true }),
  matmulCase([3, 141], [19, 141], { ...f16, norm: true, bias: true }),
  matmulCase([1, 70], [19, 70], { ...f16, norm: true, gated: true }),
  // quantised weights: against loops over the values that they stand for; one row, a few, many, and groups' ends
  ...(["q8_0", "q4_0", "q4_1"] as const).flatMap((dtype) => [
    matmulCase([1, 32], [1, 32], { dtype }),
    matmulCase([1, 320], [133, 320], { dtype, bias: true, residual: true, scale: 0.5 }),
    matmulCase([1, 77], [45, 77], { dtype, activation: "silu" }),
    matmulCase([3, 1, 2112], [21, 2112], { dtype, bias: true }),
    matmulCase([7, 97], [37, 97], { dtype, residual: true }),
    matmulCase([37, 128], [135, 128], { dtype, bias: true, activation: "gelu", residual: true }),
    matmulCase([2, 35, 50], [70, 50], { dtype, scale: 0.25 }),
    // both quantised: integer products
    matmulCase([1, 320], [37, 320], { aDtype: "q8_0", dtype, bias: true, residual: true, scale: 0.5 }),
    matmulCase([7, 2, 97], [35, 97], { aDtype: "q8_0", dtype, activation: "silu" }),
    matmulCase([6, 2112], [70, 2112], { aDtype: "q8_0", dtype, residual: true }),
  ]),
]);
