import type { Device } from "./device.ts";
import { CancelledError } from "./errors.ts";
import { chooseVariant, type Tensors, type Variant } from "./op.ts";
import { fillUniform } from "./ops/index.ts";
import type { Program } from "./program.ts";
import { isQuantized } from "./quantized.ts";
import type { Tensor } from "./tensor.ts";
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
 * Times every variant that runs for each of `calls`, on random data, and says which to take. All variants compute the same
 * within the tolerances of their op, so that a choice changes no result beyond these.
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
    const milliseconds = await measure(device, call);
    const [best, least] = Object.entries(milliseconds).reduce((a, b) => (b[1] < a[1] ? b : a));
    const clear = least <= clearly * (milliseconds[usual] ?? Number.POSITIVE_INFINITY);
    tuned.push({ key, usual, chosen: clear ? best : usual, milliseconds });
    options.onProgress?.(i + 1, open.length);
  }
  return tuned;
}

function runnable(device: Device, { op, inputs, params }: TunableCall): Variant<unknown, unknown>[] {
  return op.variants.filter((v) => v.supports(inputs, params, device.caps));
}

async function measure(device: Device, call: TunableCall): Promise<Record<string, number>> {
  const inputs = await randomInputs(device, call);
  const programs: [name: string, program: Program][] = [];
  try {
    for (const { name } of runnable(device, call)) {
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
    return least;
  } finally {
    for (const [, program] of programs) program.dispose();
    for (const tensor of Object.values(inputs)) tensor?.dispose();
  }
}

async function timeOf(device: Device, program: Program): Promise<number> {
  if (device.caps.timestamps) return program.time();
  const started = performance.now();
  program.run();
  await device.idle();
  return performance.now() - started;
}

/** Floats at random; indices, positions and counts 0, which are valid everywhere. */
async function randomInputs(
  device: Device,
  { inputs: specs }: TunableCall,
): Promise<Record<string, Tensor | undefined>> {
  const cmd = device.record("tune: inputs");
  const inputs: Record<string, Tensor | undefined> = {};
  let seed = 1;
  for (const [name, spec] of Object.entries(specs)) {
    if (!spec) continue;
    const { shape, dtype } = spec;
    const tensor = device.tensor({ shape, dtype, label: name });
    if (dtype === "f32" || dtype === "f16" || isQuantized(dtype)) fillUniform(cmd, tensor, { seed: seed++ });
    inputs[name] = tensor;
  }
  using program = await cmd.finish();
  program.run();
  await device.idle();
  return inputs;
}
