import type { HostTensors, Op } from "./op.ts";
import type { Random } from "./random.ts";

/** A difference d from a reference r passes when |d| <= abs + rel·|r|. */
export interface Tolerance {
  readonly abs: number;
  readonly rel: number;
}

/** Inputs and parameters that an op is checked on, and timed on only where it passed. */
export interface OpCase<I, P> {
  readonly name: string;
  readonly params: P;
  inputs(random: Random): HostTensors<I>;
  /** Default: f32 rounding of one operation, 2e-6 both. */
  readonly tolerance?: Tolerance;
  /** Too large for the conformance suite: the benchmark's, checked there before it is timed. */
  readonly benchOnly?: boolean;
}

/** An op with its cases; `cases.ts` of every op makes one. */
export interface OpSuite<I = unknown, P = unknown> {
  readonly op: Op<I, P>;
  readonly cases: readonly OpCase<I, P>[];
}

/** Forgets the type parameters, so that suites of all ops fit one list. */
export function suite<I, P>(op: Op<I, P>, cases: readonly OpCase<I, P>[]): OpSuite {
  return { op, cases } as unknown as OpSuite;
}
