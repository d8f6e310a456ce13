import type { DType, HostTensor, InputSpecs, Op, Shape, Tensor, TensorSpec } from "@mask-llava/runtime";
import { type OpCase, type OpSuite, suites, type Tolerance } from "@mask-llava/runtime/conformance";
import type { Size } from "../common/sizes.ts";
import { FastRandom } from "./fast-random.ts";

/** An input of a case: random values made on the GPU, in [mean - range, mean + range), or given ones. */
export type InputPlan = TensorSpec & ({ readonly range: number; readonly mean: number } | HostTensor);

/** What is checked and timed: an op on inputs of some shapes. */
export interface KernelCase {
  /** `<op> <what>`; `--filter` looks into it. */
  readonly name: string;
  readonly op: Op<InputSpecs, unknown>;
  readonly params: unknown;
  readonly tolerance: Tolerance;
  /** Made when the case is run, as given values take memory. */
  inputs(): Readonly<Record<string, InputPlan | undefined>>;
  /** The same case on a shape that a check in f64 can afford; absent where this one is such. */
  readonly scaledDown?: KernelCase;
}

/** Uniform values of the given standard deviation (default 1) and mean. */
export function uniform(
  shape: Shape,
  { dtype = "f32", deviation = 1, mean = 0 }: { dtype?: DType; deviation?: number; mean?: number } = {},
): InputPlan {
  return { shape, dtype, mean, range: Math.sqrt(3) * deviation };
}

/** Forgets an op's type parameters, so that cases of all ops fit one list. */
export function kernelCase<I, P>(
  op: Op<I, P>,
  what: string,
  rest: {
    readonly params: P;
    readonly tolerance: Tolerance;
    inputs(): { readonly [K in keyof I]: InputPlan | (undefined extends I[K] ? undefined : never) };
  },
): KernelCase {
  return { name: `${op.name} ${what}`, op, ...rest } as unknown as KernelCase;
}

/** Elements of all tensors and their arithmetic: orders an op's cases by size. */
function work(op: Op<InputSpecs, unknown>, specs: InputSpecs, params: unknown): number {
  const { flops, bytes } = op.cost(specs, op.infer(specs, params), params);
  return flops + bytes;
}

function fromSuite({ op, cases }: OpSuite, wanted: (c: OpCase<unknown, unknown>) => boolean): KernelCase[] {
  return cases.filter(wanted).map((c) => ({
    name: `${op.name} case ${c.name}`,
    op: op as Op<InputSpecs, unknown>,
    params: c.params,
    tolerance: c.tolerance ?? { abs: 2e-6, rel: 2e-6 },
    inputs: () => c.inputs(new FastRandom(1)) as Record<string, HostTensor | undefined>,
  }));
}

/**
 * Cases of every op's `cases.ts`: those made for benchmarks (not at `tiny`), and the largest conformance case of each op
 * that has none and is not in `covered` either.
 */
export function suiteCases(size: Size, covered: ReadonlySet<string>): KernelCase[] {
  return suites.flatMap((suite) => {
    const bench = size === "tiny" ? [] : fromSuite(suite, (c) => c.benchOnly === true);
    if (bench.length > 0 || covered.has(suite.op.name)) return bench;
    const measured = fromSuite(suite, (c) => !c.benchOnly).map((c) => ({
      c,
      work: work(c.op, c.inputs() as InputSpecs, c.params),
    }));
    const largest = measured.sort((a, b) => b.work - a.work)[0];
    return largest ? [largest.c] : [];
  });
}

/** The tensors of a case by input name, with absent ones left out. */
export function present<T>(inputs: Readonly<Record<string, T | undefined>>): [string, T][] {
  return Object.entries(inputs).flatMap(([name, t]) => (t === undefined ? [] : [[name, t] as [string, T]]));
}

export type DeviceInputs = Readonly<Record<string, Tensor>>;
