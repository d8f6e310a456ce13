import type { Device } from "./device.ts";
import { encodeFloat16 } from "./float16.ts";
import type { HostTensor } from "./host-tensor.ts";
import type { InputSpecs, Op, Tensors } from "./op.ts";
import type { OpCase, Tolerance } from "./op-case.ts";
import { isQuantized } from "./quantized.ts";
import { quantizeHost } from "./quantized-host.ts";
import type { Random } from "./random.ts";
import { formatShape, type Tensor } from "./tensor.ts";

export * from "./op-case.ts";
export { suites } from "./ops/suites.ts";
export { Random } from "./random.ts";

const defaultTolerance: Tolerance = { abs: 2e-6, rel: 2e-6 };

/** A caller-owned tensor with the host values. */
export function upload(device: Device, host: HostTensor, label?: string): Tensor {
  return device.tensor({ shape: host.shape, dtype: host.dtype, label: label ?? host.label }, rawData(host));
}

function rawData(host: HostTensor): ArrayBufferView {
  if (isQuantized(host.dtype)) return host.packed ?? quantizeHost(host.data, host.shape, host.dtype);
  switch (host.dtype) {
    case "f16":
      return encodeFloat16(host.data);
    case "f32":
      return Float32Array.from(host.data);
    case "i32":
      return Int32Array.from(host.data);
    case "u32":
      return Uint32Array.from(host.data);
  }
}

export interface Comparison {
  readonly ok: boolean;
  readonly message: string;
  /** Largest |difference| / (abs + rel·|reference|). */
  readonly worst: number;
}

/** Compares element by element; a NaN anywhere in `actual` where the reference has none is a failure. */
export function compare(actual: ArrayLike<number>, expected: HostTensor, tolerance: Tolerance): Comparison {
  if (actual.length !== expected.data.length) {
    return {
      ok: false,
      worst: Number.POSITIVE_INFINITY,
      message: `${actual.length} values, expected ${expected.data.length}`,
    };
  }
  let worst = 0;
  let at = -1;
  for (let i = 0; i < actual.length; i++) {
    const a = actual[i] as number;
    const e = expected.data[i] as number;
    if (Object.is(a, e) || a === e) continue;
    let error = Math.abs(a - e) / (tolerance.abs + tolerance.rel * Math.abs(e));
    if (Number.isNaN(error)) error = Number.isNaN(e) && Number.isNaN(a) ? 0 : Number.POSITIVE_INFINITY;
    if (error > worst) {
      worst = error;
      at = i;
    }
  }
  const ok = worst <= 1;
  const message = ok
    ? `within tolerance (${worst.toFixed(3)} of it)`
    : `element ${at} of ${formatShape(expected.shape)}: ${actual[at]} instead of ${expected.data[at]}, ${worst.toPrecision(3)} times the tolerance`;
  return { ok, message, worst };
}

/** Runs one variant of an op on a case's inputs and compares outputs and mutated inputs with the f64 reference. */
export async function checkVariant<I, P>(
  device: Device,
  op: Op<I, P>,
  testCase: OpCase<I, P>,
  variant: string,
  random: Random,
): Promise<Comparison> {
  const host = testCase.inputs(random);
  const entries = Object.entries(host as Record<string, HostTensor | undefined>);
  const uploaded = entries.flatMap(([name, h]) => (h ? [[name, upload(device, h, name)] as const] : []));
  const inputs = Object.fromEntries(uploaded) as unknown as Tensors<I>;
  try {
    const cmd = device.record(`${op.name} ${testCase.name}`);
    const outputs = cmd.call(op, inputs, testCase.params, { variant });
    using program = await cmd.finish({ outputs });
    program.run();
    const actual: ArrayLike<number>[] = [];
    for (const t of outputs) actual.push(await program.read(t));
    for (const name of op.mutates ?? []) {
      const mutated = (inputs as Record<string, Tensor | undefined>)[name];
      if (mutated) actual.push(await device.read(mutated));
    }
    // the reference writes mutated inputs in place, so it comes last and gets the very arrays that were uploaded
    const results = op.reference(host, testCase.params);
    const expected = [
      ...results,
      ...(op.mutates ?? []).flatMap((n) => (host as Record<string, HostTensor | undefined>)[n] ?? []),
    ];
    const inferred = op.infer(host as unknown as I & InputSpecs, testCase.params);
    inferred.forEach((spec, i) => {
      const shape = results[i]?.shape ?? [];
      if (formatShape(spec.shape) !== formatShape(shape)) {
        throw new Error(
          `${op.name}: infer says ${formatShape(spec.shape)}, the reference ${formatShape(shape)}`,
        );
      }
    });
    const tolerance = testCase.tolerance ?? defaultTolerance;
    const comparisons = expected.map((e, i) => compare(actual[i] as ArrayLike<number>, e, tolerance));
    return comparisons.reduce((worst, c) => (c.worst > worst.worst ? c : worst));
  } finally {
    for (const [, tensor] of uploaded) tensor.dispose();
  }
}
