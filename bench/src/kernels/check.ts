import { type Device, type HostTensor, type InputSpecs, sizeOf, type Tensor } from "@mask-llava/runtime";
import { type Comparison, compare, Random } from "@mask-llava/runtime/conformance";
import { type DeviceInputs, type KernelCase, present } from "./cases.ts";
import { RotatedInputs } from "./inputs.ts";
import { spotRules, type Values } from "./spots.ts";

/** What was compared with f64 before a case was timed. */
export interface Checked {
  readonly how: "all elements" | "some elements" | "some elements, and all of a scaled-down case";
  /** Largest |difference| / (abs + rel·|reference|); at most 1. */
  readonly worst: number;
}

/** A kernel's results are wrong: it is not timed. */
export class WrongResult extends Error {}

/** What loops in f64 may cost at most: a second or two. */
const affordable = { flops: 4e8, elements: 2e7 };

/** Runs a case once on `inputs` and compares outputs and mutated inputs with the op's f64 reference. */
export async function checkCase(
  device: Device,
  c: KernelCase,
  inputs: DeviceInputs,
  variant: string,
): Promise<Checked> {
  const values: Record<string, Values> = {};
  for (const [name, t] of Object.entries(inputs))
    values[name] = { shape: t.shape, dtype: t.dtype, data: await device.read(t) };
  const specs: InputSpecs = inputs;
  const outputSpecs = c.op.infer(specs, c.params);
  const { flops } = c.op.cost(specs, outputSpecs, c.params);
  const elements = Object.values(values).reduce((sum, v) => sum + sizeOf(v.shape), 0);
  const rule = spotRules[c.op.name];
  const inFull = !rule || (flops <= affordable.flops && elements <= affordable.elements);

  const cmd = device.record(c.name);
  const outputs = cmd.call(c.op, inputs, c.params, { variant });
  using program = await cmd.finish({ outputs });
  program.run();
  const actual: ArrayLike<number>[] = [];
  const mutated = (c.op.mutates ?? []).flatMap((name) => inputs[name] ?? []);
  for (const t of [...outputs, ...mutated]) actual.push(await device.read(t));

  if (inFull) {
    const host = Object.fromEntries(present(values).map(([name, v]) => [name, inDouble(v)]));
    const results = c.op.reference(host, c.params);
    const expected = [...results, ...(c.op.mutates ?? []).flatMap((name) => host[name] ?? [])];
    const all = expected.map((e, i) => compare(actual[i] ?? [], e, c.tolerance));
    return { how: "all elements", worst: passed(c, variant, all) };
  }
  const [output] = outputs as [Tensor];
  const spot = rule(values, c.params as never, output, new Random(7));
  const [expected] = c.op.reference(spot.inputs, spot.params);
  if (!expected) throw new Error(`${c.name}: the reference gave nothing`);
  const part = Array.from(spot.at, (i) => actual[0]?.[i] as number);
  const worst = passed(c, variant, [compare(part, expected, c.tolerance)]);
  if (!c.scaledDown || !runs(device, c.scaledDown, variant)) return { how: "some elements", worst };
  using small = await RotatedInputs.make(device, c.scaledDown, 1, 1);
  const scaled = await checkCase(device, c.scaledDown, small.sets[0] as DeviceInputs, variant);
  return { how: "some elements, and all of a scaled-down case", worst: Math.max(worst, scaled.worst) };
}

function runs(device: Device, c: KernelCase, variant: string): boolean {
  const specs: InputSpecs = c.inputs();
  return c.op.variants.some((v) => v.name === variant && v.supports(specs, c.params, device.caps));
}

function inDouble({ shape, dtype, data }: Values): HostTensor {
  return { shape, dtype, data: Float64Array.from(data) };
}

function passed(c: KernelCase, variant: string, comparisons: readonly Comparison[]): number {
  for (const { ok, message } of comparisons) {
    if (!ok) throw new WrongResult(`${c.name}: variant ${variant} is wrong, so it is not timed: ${message}`);
  }
  return Math.max(0, ...comparisons.map(({ worst }) => worst));
}
