import { hostTensor } from "../../host-tensor.ts";
import { type OpCase, suite, type Tolerance } from "../../op-case.ts";
import type { Shape } from "../../tensor.ts";
import { unaryOp } from "./index.ts";
import type { UnaryInputs, UnaryKind, UnaryParams } from "./spec.ts";

/** WGSL grants exp and log 3 ulp and a little; drivers keep within. */
const tolerances: Partial<Record<UnaryKind, Tolerance>> = {
  // exp's argument of up to 12 is rounded at 2^-24 of itself, times 1.44 for exp2
  exp: { abs: 1e-7, rel: 4e-6 },
  log: { abs: 2e-6, rel: 2e-6 },
  // arguments of up to 30 are reduced by multiples of pi that are good to 1e-8 each
  sin: { abs: 1e-6, rel: 0 },
  cos: { abs: 1e-6, rel: 0 },
  tanh: { abs: 4e-6, rel: 4e-6 },
};
const positive: readonly UnaryKind[] = ["log", "sqrt", "rsqrt", "reciprocal"];

function unaryCase(
  kind: UnaryKind,
  shape: Shape,
  { a = 0, b = 0, benchOnly = false } = {},
): OpCase<UnaryInputs, UnaryParams> {
  return {
    name: `${kind} ${JSON.stringify(shape)}`,
    params: { kind, a, b },
    inputs(r) {
      const x = r.normals(shape, { scale: 3 });
      const data = positive.includes(kind) ? x.data.map((v) => Math.abs(v) + 0.01) : x.data;
      return { x: hostTensor(shape, "f32", data) };
    },
    tolerance: tolerances[kind] ?? { abs: 1e-6, rel: 2e-6 },
    benchOnly,
  };
}

/** Large arguments, where exp overflows or tails vanish: results stay finite. */
function extremes(kind: UnaryKind): OpCase<UnaryInputs, UnaryParams> {
  const data = [0, -0, 1e-30, -1e-30, 20, -20, 88, -88, 1000, -1000, 1e20, -1e20];
  return {
    name: `${kind} of large arguments`,
    params: { kind, a: 0, b: 0 },
    inputs: () => ({ x: hostTensor([data.length], "f32", data) }),
    tolerance: { abs: 1e-6, rel: 2e-6 },
  };
}

const activations = ["relu", "gelu", "gelu_tanh", "quick_gelu", "silu", "sigmoid", "tanh"] as const;
const others = ["exp", "log", "neg", "sqrt", "rsqrt", "reciprocal", "abs", "square", "sin", "cos"] as const;

export const unarySuite = suite(unaryOp, [
  ...[...activations, ...others].map((kind) => unaryCase(kind, [3, 5, 7])),
  ...activations.map(extremes),
  unaryCase("relu", [1]),
  unaryCase("relu", [65, 1025]),
  ...(["sin", "cos"] as const).map(
    (kind): OpCase<UnaryInputs, UnaryParams> => ({
      ...unaryCase(kind, [64]),
      name: `${kind} of up to 1000`,
      inputs: (r) => ({ x: r.normals([64], { scale: 300 }) }),
    }),
  ),
  unaryCase("clamp", [9, 11], { a: -1.5, b: 2.25 }),
  unaryCase("clamp", [5], { a: 0.5, b: Number.POSITIVE_INFINITY }),
  unaryCase("affine", [7, 3], { a: -0.7, b: 1.3 }),
  unaryCase("greater", [6, 5], { a: 0.4 }),
  unaryCase("gelu", [577, 4096], { benchOnly: true }),
  unaryCase("silu", [640, 11008], { benchOnly: true }),
]);
