import { chooseVariant, type Device, type InputSpecs, type Program, type Tensor } from "@mask-llava/runtime";
import { type Statistics, statisticsOf } from "../common/statistics.ts";
import type { DeviceInputs, KernelCase } from "./cases.ts";
import { type Checked, checkCase } from "./check.ts";
import { RotatedInputs } from "./inputs.ts";

export interface MeasureOptions {
  /** Samples a case; fewer, but at least three, where they would take longer than `limit`. */
  readonly samples: number;
  /** Milliseconds that a sample lasts at least. */
  readonly sample: number;
  /** Milliseconds after which no further sample is begun. */
  readonly limit: number;
  /** Bytes that the rotated inputs take at least, more than the adapter's cache. */
  readonly rotation: number;
}

/** A case's time on a device. Times are milliseconds of one run of the op. */
export interface Measurement {
  readonly variant: string;
  readonly checked: Checked;
  /** What `time` was taken by: the GPU's own timestamps about a submission's runs, or the wall about it. */
  readonly clock: "timestamps" | "wall";
  readonly time: Statistics;
  /** The wall over the runs of a submission, encoding and waiting included. */
  readonly wall: Statistics;
  /** Runs in a submission, each after the one before it, as all write the same output. */
  readonly chain: number;
  /** Copies of the inputs that the runs walk through, and whether all of them exceed the cache. */
  readonly sets: number;
  readonly pastCache: boolean;
  readonly flops: number;
  readonly bytes: number;
  readonly dispatches: number;
}

const longestChain = 512;
const mostSets = 256;

/** Checks a case, then times it. `variant` absent: the one that the device prefers. */
export async function measureCase(
  device: Device,
  c: KernelCase,
  options: MeasureOptions,
  variant?: string,
): Promise<Measurement> {
  using inputs = await RotatedInputs.make(device, c, options.rotation, mostSets);
  const [first] = inputs.sets as [DeviceInputs];
  const named = chooseVariant<InputSpecs, unknown>(c.op, first, c.params, device.caps, variant).name;
  const checked = await checkCase(device, c, first, named);
  const length = await chainLength(device, c, inputs, named, options.sample);
  using chain = await buildChain(device, c, inputs, named, length);
  await wallTime(chain); // warm: pipelines, page tables, clocks
  const { timestamps } = device.caps;
  const walls: number[] = [];
  const gpu: number[] = [];
  const begun = performance.now();
  while (walls.length < options.samples && (walls.length < 3 || performance.now() - begun < options.limit)) {
    walls.push((await wallTime(chain)) / length);
    if (timestamps) gpu.push((await chain.time()) / length);
  }
  const wall = await statisticsOf(walls);
  // a driver's clock may be too coarse for a short chain
  const timed = timestamps && gpu.every((t) => t > 0);
  const specs: InputSpecs = first;
  const { flops, bytes } = c.op.cost(specs, c.op.infer(specs, c.params), c.params);
  return {
    variant: named,
    checked,
    clock: timed ? "timestamps" : "wall",
    time: timed ? await statisticsOf(gpu) : wall,
    wall,
    chain: length,
    sets: inputs.sets.length,
    pastCache: Math.min(inputs.sets.length, length) * inputs.bytes >= options.rotation,
    flops,
    bytes,
    dispatches: chain.dispatches / length,
  };
}

/** Runs that a submission needs to last `sample` milliseconds, found by doubling. */
async function chainLength(
  device: Device,
  c: KernelCase,
  inputs: RotatedInputs,
  variant: string,
  sample: number,
): Promise<number> {
  let length = 1;
  while (length < longestChain) {
    using chain = await buildChain(device, c, inputs, variant, length);
    await wallTime(chain);
    const time = await wallTime(chain);
    if (time >= sample) break;
    // a submission's fixed cost hides the first runs, so a step is never more than eightfold
    const wanted = Math.ceil((1.1 * length * sample) / time);
    length = Math.min(longestChain, wanted, length * 8);
  }
  return length;
}

async function buildChain(
  device: Device,
  c: KernelCase,
  inputs: RotatedInputs,
  variant: string,
  length: number,
): Promise<Program> {
  const cmd = device.record(`${c.name} x${length}`);
  let outputs: Tensor[] = [];
  for (let i = 0; i < length; i++) {
    const set = inputs.sets[i % inputs.sets.length] as DeviceInputs;
    outputs = cmd.call(c.op, set, c.params, { variant });
  }
  return await cmd.finish({ outputs });
}

async function wallTime(program: Program): Promise<number> {
  const begun = performance.now();
  program.run();
  await program.device.idle();
  return performance.now() - begun;
}
