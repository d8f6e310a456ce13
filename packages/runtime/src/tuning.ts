import type { Capabilities } from "./capabilities.ts";
import type { InputSpecs, Op } from "./op.ts";
import type { TensorSpec } from "./tensor.ts";

/** An op call as far as a kernel variant is chosen for it. */
export interface TunableCall {
  readonly op: Op<unknown, unknown>;
  readonly inputs: InputSpecs;
  readonly params: unknown;
}

/**
 * Which kernel variants were found to be fastest on this device, by call. Shapes count to the next power of two, so that
 * prompts of any length share what was measured for one of their size.
 */
export class Tuning {
  /** Variant by `tuningKey`. */
  readonly choices: ReadonlyMap<string, string>;
  #calls: Map<string, TunableCall> | undefined;

  constructor(choices: Iterable<readonly [key: string, variant: string]> = []) {
    this.choices = new Map(choices);
  }

  /** The variant that was found fastest, where it runs for this call too. */
  variantFor(call: TunableCall, caps: Capabilities): string | undefined {
    if (this.choices.size === 0 && !this.#calls) return undefined;
    const key = tuningKey(call);
    if (this.#calls && !this.#calls.has(key)) this.#calls.set(key, call);
    const name = this.choices.get(key);
    const variant = call.op.variants.find((v) => v.name === name);
    return variant?.supports(call.inputs, call.params, caps) ? name : undefined;
  }

  /** From now on, notes every call that is not like one before. */
  collect(): ReadonlyMap<string, TunableCall> {
    this.#calls ??= new Map();
    return this.#calls;
  }
}

/** Equal for calls that one variant is chosen for. Numbers that are no whole ones (epsilons, scales) do not count. */
export function tuningKey({ op, inputs, params }: TunableCall): string {
  const specs = Object.entries(inputs).flatMap(([name, spec]) => (spec ? [`${name}:${bucket(spec)}`] : []));
  const counted = JSON.stringify(params, (_, value) =>
    typeof value === "number" && !Number.isInteger(value) ? undefined : value,
  );
  return `${op.name} ${specs.join(" ")} ${counted}`;
}

function bucket({ dtype, shape }: TensorSpec): string {
  return `${dtype}[${shape.map((n) => 2 ** Math.ceil(Math.log2(Math.max(1, n)))).join(",")}]`;
}
