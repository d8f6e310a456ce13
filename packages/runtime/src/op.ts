import type { Capabilities } from "./capabilities.ts";
import { KernelError } from "./errors.ts";
import type { HostTensor } from "./host-tensor.ts";
import type { Dispatch } from "./kernel.ts";
import { formatSpec, type Tensor, type TensorSpec } from "./tensor.ts";

/** An op's inputs by name, e.g. `{ x: TensorSpec; weight: TensorSpec; bias?: TensorSpec }`. */
export type InputSpecs = { readonly [name: string]: TensorSpec | undefined };
export type Tensors<I> = { readonly [K in keyof I]: undefined extends I[K] ? Tensor | undefined : Tensor };
export type HostTensors<I> = {
  readonly [K in keyof I]: undefined extends I[K] ? HostTensor | undefined : HostTensor;
};

export interface BuildContext<I, P> {
  readonly inputs: Tensors<I>;
  readonly outputs: readonly Tensor[];
  readonly params: P;
  readonly caps: Capabilities;
  /** Memory that lives for this op only. */
  scratch(spec: TensorSpec): Tensor;
}

/** One way to compute an op on a GPU. */
export interface Variant<I, P> {
  readonly name: string;
  /** Whether this variant is correct for these shapes on a device with these capabilities. Pure. */
  supports(inputs: I, params: P, caps: Capabilities): boolean;
  /** Whether it is also a good choice for them; absent: always. Not asked where the variant is named. Pure. */
  prefers?(inputs: I, params: P, caps: Capabilities): boolean;
  /** The dispatches. Pure, but for `context.scratch`. */
  build(context: BuildContext<I, P>): Dispatch[];
}

/** FLOPs (a multiply-add counts two) and the bytes that must move at least once. */
export interface Cost {
  readonly flops: number;
  readonly bytes: number;
}

/** An op is data: a shape rule, kernel variants (the first that is supported is preferred), and plain loops in f64. */
export interface Op<I, P> {
  readonly name: string;
  /** Output specs; throws ShapeError or DTypeError. */
  infer(inputs: I, params: P): TensorSpec[];
  /** Names of inputs that the op writes in place, e.g. a KV cache. */
  readonly mutates?: readonly (keyof I & string)[];
  readonly variants: readonly Variant<I, P>[];
  /** Plain loops in f64. Returns the outputs; writes mutated inputs in place. */
  reference(inputs: HostTensors<I>, params: P): HostTensor[];
  cost(inputs: I, outputs: readonly TensorSpec[], params: P): Cost;
}

/** The variant to run: `wanted` by name, or the first that supports and prefers the inputs, or that supports them. */
export function chooseVariant<I, P>(
  op: Op<I, P>,
  inputs: I,
  params: P,
  caps: Capabilities,
  wanted?: string,
): Variant<I, P> {
  const able = op.variants.filter(
    (v) => (wanted === undefined || v.name === wanted) && v.supports(inputs, params, caps),
  );
  const variant = able.find((v) => v.prefers?.(inputs, params, caps) ?? true) ?? able[0];
  if (variant) return variant;
  const specs = Object.entries(inputs as InputSpecs).flatMap(([name, s]) =>
    s ? [`${name}: ${formatSpec(s)}`] : [],
  );
  throw new KernelError(
    `${op.name}: ${wanted ? `variant ${wanted} does not run` : "no kernel variant runs"} for ${specs.join(", ")} on this device (variants: ${op.variants.map((v) => v.name).join(", ")})`,
  );
}
