import { disagreement } from "./agreement.ts";
import type { Device, HostArray } from "./device.ts";
import { CancelledError, KernelError } from "./errors.ts";
import { chooseVariant, type Tensors, type Variant } from "./op.ts";
import { fillUniform } from "./ops/index.ts";
import type { Program } from "./program.ts";
import { isQuantized } from "./quantized.ts";
import { byteLength, type Tensor } from "./tensor.ts";
import type { TunableCall } from "./tuning.ts";

/** What was measured for one call. */
export interface Tuned {
  readonly key: string;
  /** The variant that runs without tuning. */
  readonly usual: string;
  /** The one to run: the fastest where that is clear, else the usual one. */
  readonly chosen: string;
  /** Least milliseconds of a call, by variant. */
  readonly milliseconds: Readonly<Record<string, number>>;
  /** Why a variant is not to be used on this device, by variant: it does not compile, or computes something else. */
  readonly refused: Readonly<Record<string, string>>;
}

export interface TuneOptions {
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Calls in a program, which hide what a submission costs, and runs of each variant, in turns. */
const repeats = 8;
const rounds = 5;
/** A variant is chosen over the usual one where it takes at most this share of its time: less is noise. */
const clearly = 0.9;

/**
 * Times every variant that runs for each of `calls`, on random data, and says which to take. Variants of one op are of one
 * accuracy (what trades accuracy has dtypes of its own), so that a choice changes no result beyond rounding; and as drivers
 * have bugs, a variant is only timed where it gives what the usual one gives, on this device and that data.
 */
export async function tune(
  device: Device,
  calls: ReadonlyMap<string, TunableCall>,
  options: TuneOptions = {},
): Promise<Tuned[]> {
  const open = [...calls].filter(([, call]) => runnable(device, call).length > 1);
  const tuned: Tuned[] = [];
  for (const [i, [key, call]] of open.entries()) {
    if (options.signal?.aborted) throw new CancelledError();
    const usual = chooseVariant(call.op, call.inputs, call.params, device.caps).name;
    const { milliseconds, refused } = await measure(device, call, usual);
    const [best, least] = Object.entries(milliseconds).reduce((a, b) => (b[1] < a[1] ? b : a));
    const clear = least <= clearly * (milliseconds[usual] ?? Number.POSITIVE_INFINITY);
    tuned.push({ key, usual, chosen: clear ? best : usual, milliseconds, refused });
    options.onProgress?.(i + 1, open.length);
  }
  return tuned;
}

function runnable(device: Device, { op, inputs, params }: TunableCall): Variant<unknown, unknown>[] {
  return op.variants.filter((v) => v.supports(inputs, params, device.caps));
}

async function measure(
  device: Device,
  call: TunableCall,
  usual: string,
): Promise<Pick<Tuned, "milliseconds" | "refused">> {
  const inputs = randomInputs(device, call);
  const programs: [name: string, program: Program][] = [];
  const refused: Record<string, string> = {};
  try {
    await fill(device, inputs);
    const expected = await resultsOf(device, call, inputs, usual);
    for (const { name } of runnable(device, call)) {
      const problem = name === usual ? undefined : await problemOf(device, call, inputs, name, expected);
      if (problem !== undefined) {
        refused[name] = problem;
        continue;
      }
      const cmd = device.record(`tune ${call.op.name}/${name}`);
      for (let i = 0; i < repeats; i++)
        cmd.call(call.op, inputs as Tensors<unknown>, call.params, { variant: name });
      programs.push([name, await cmd.finish()]);
    }
    const least: Record<string, number> = {};
    // the first round compiles and warms, and does not count
    for (let round = 0; round <= rounds; round++) {
      for (const [name, program] of programs) {
        const taken = (await timeOf(device, program)) / repeats;
        if (round > 0) least[name] = Math.min(least[name] ?? Number.POSITIVE_INFINITY, taken);
      }
    }
    return { milliseconds: least, refused };
  } finally {
    for (const [, program] of programs) program.dispose();
    for (const tensor of Object.values(inputs)) tensor?.dispose();
  }
}

interface Result {
  readonly tensor: Tensor;
  readonly values: HostArray;
}

/** Why a variant is not to be used, if it is not. */
async function problemOf(
  device: Device,
  call: TunableCall,
  inputs: Inputs,
  variant: string,
  expected: readonly Result[],
): Promise<string | undefined> {
  try {
    const results = await resultsOf(device, call, inputs, variant);
    for (const [i, { tensor, values }] of results.entries()) {
      const wrong = disagreement(tensor, values, (expected[i] as Result).values);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  } catch (error) {
    if (error instanceof KernelError) return error.message;
    throw error;
  }
}

/** Outputs of one call, and inputs that it writes in place, after it. */
async function resultsOf(
  device: Device,
  { op, inputs: specs, params }: TunableCall,
  inputs: Inputs,
  variant: string,
): Promise<Result[]> {
  if (op.mutates) await fill(device, inputs);
  const cmd = device.record(`tune: results of ${op.name}/${variant}`);
  const outputs = cmd.call(op, inputs as Tensors<unknown>, params, { variant });
  using program = await cmd.finish({ outputs });
  // NaNs, as memory may still hold what another variant wrote there
  for (const tensor of outputs) device.write(tensor, new Uint8Array(byteLength(tensor)).fill(255));
  const mutated = (op.mutates ?? []).flatMap((name) => (specs[name] && inputs[name]) || []);
  const tensors = [...outputs, ...mutated];
  const values = await program.runAndRead(tensors);
  return tensors.map((tensor, i) => ({ tensor, values: values[i] as HostArray }));
}

async function timeOf(device: Device, program: Program): Promise<number> {
  if (device.caps.timestamps) return program.time();
  const started = performance.now();
  program.run();
  await device.idle();
  return performance.now() - started;
}

type Inputs = Readonly<Record<string, Tensor | undefined>>;

function randomInputs(device: Device, { inputs: specs }: TunableCall): Inputs {
  const named = Object.entries(specs).flatMap(([name, spec]) =>
    spec ? [[name, device.tensor({ shape: spec.shape, dtype: spec.dtype, label: name })] as const] : [],
  );
  return Object.fromEntries(named);
}

/** Floats at random, the same ones each time; indices, positions and counts 0, which are valid everywhere. */
async function fill(device: Device, inputs: Inputs): Promise<void> {
  const cmd = device.record("tune: inputs");
  let seed = 1;
  for (const tensor of Object.values(inputs)) {
    if (!tensor) continue;
    const { dtype } = tensor;
    if (dtype === "f32" || dtype === "f16" || isQuantized(dtype)) fillUniform(cmd, tensor, { seed: seed++ });
    else device.write(tensor, new Uint8Array(byteLength(tensor)));
  }
  using program = await cmd.finish();
  program.run();
  await device.idle();
}
