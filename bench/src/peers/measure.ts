import { type Device, decodeFloat16, formatSpec, type Tensor } from "@mask-llava/runtime";
import { type Statistics, statisticsOf } from "../common/statistics.ts";
import type { OpenCase, PeerCase, SetLimits } from "./cases.ts";
import type { OnnxRuntime, PeerSession } from "./onnx-runtime.ts";
import { translate } from "./translate/index.ts";

export interface PeerOptions extends SetLimits {
  /** Milliseconds that a sample lasts at least. */
  readonly sample: number;
  /** Rounds of one sample each; fewer, but at least three, where they would take longer than `limit`. */
  readonly rounds: number;
  /** Milliseconds after which no further round is begun. */
  readonly limit: number;
}

/** Milliseconds of one computation of a case, and what else was counted. */
export interface SideTimes {
  readonly wall: Statistics;
  /** Processor time of this process, all threads: what a software adapter costs on a machine that is shared. */
  readonly processor: Statistics;
  /** Wall of the first run, with everything that a driver compiles then. */
  readonly first: number;
}

export interface PeerMeasurement {
  readonly ours: SideTimes;
  readonly theirs: SideTimes;
  /** Their median wall time over ours: above 1 we are ahead. */
  readonly ratio: number;
  /** The same of processor time. */
  readonly processorRatio: number;
  /** Of their results to ours: the root mean square of the differences over that of ours. */
  readonly difference: number;
  /** Computations in a run, on inputs of their own. */
  readonly repeats: number;
  readonly flops: number;
  readonly bytes: number;
  readonly dispatches: number;
  /** Nodes of the graph as it was written, before their optimiser. */
  readonly nodes: number;
}

/** The two libraries do not compute the same, so they are not compared. */
export class DifferentResults extends Error {}

/**
 * How far their results may be from ours. They add up halves in halves: 2^-11 a rounding, over sums of thousands of terms
 * and some ten layers. In f32 only the order of sums differs.
 */
const allowed = { f32: 1e-4, f16: 3e-2 } as const;

/** Something that can be run a number of times and waited for. */
interface Side {
  run(times: number): Promise<void>;
}

/** Checks that both compute the same, then times them in turns. */
export async function measurePeer(
  device: Device,
  runtime: OnnxRuntime,
  c: PeerCase,
  options: PeerOptions,
): Promise<PeerMeasurement> {
  using open = await c.open(device, options);
  const { recorder, outputs, external, program } = open;
  // a software adapter's subgroups are not those that the fused attention is written for: it is wrong on eight lanes
  const fused = !device.info.software;
  const model = translate(c.name, recorder.calls, outputs, { float: c.float, fused }, external);
  await using session = await runtime.open(model);
  const ours: Side = {
    async run(times) {
      for (let i = 0; i < times; i++) program.run();
      await device.idle();
    },
  };
  const theirs: Side = {
    async run(times) {
      await session.run(times);
      await session.wait();
    },
  };
  const first = { ours: open.firstRun, theirs: (await timed(theirs, 1)).wall };
  const difference = await compare(device, open, session, c);
  const runs = { ours: await runsOf(ours, options.sample), theirs: await runsOf(theirs, options.sample) };
  const samples = await inTurns([ours, runs.ours], [theirs, runs.theirs], options);
  const side = async (name: "ours" | "theirs", taken: readonly Sample[]): Promise<SideTimes> => {
    const each = runs[name] * open.repeats;
    return {
      wall: await statisticsOf(taken.map(({ wall }) => wall / each)),
      processor: await statisticsOf(taken.map(({ processor }) => processor / each)),
      first: first[name],
    };
  };
  const [our, their] = [await side("ours", samples[0]), await side("theirs", samples[1])];
  return {
    ours: our,
    theirs: their,
    ratio: their.wall.median / our.wall.median,
    processorRatio: their.processor.median / our.processor.median,
    difference,
    repeats: open.repeats,
    flops: open.flops,
    bytes: open.bytes,
    dispatches: program.dispatches / open.repeats,
    nodes: model.nodes / open.repeats,
  };
}

interface Sample {
  readonly wall: number;
  readonly processor: number;
}

async function timed(side: Side, times: number): Promise<Sample> {
  const before = process.cpuUsage();
  const begun = performance.now();
  await side.run(times);
  const wall = performance.now() - begun;
  const { user, system } = process.cpuUsage(before);
  return { wall, processor: Math.max(user + system, 1) / 1e3 };
}

/** Runs that last at least `sample` milliseconds. */
async function runsOf(side: Side, sample: number): Promise<number> {
  let runs = 1;
  for (;;) {
    const { wall } = await timed(side, runs);
    if (wall >= sample) return runs;
    runs = Math.min(8 * runs, Math.ceil((1.2 * runs * sample) / wall));
  }
}

/** Samples of two sides, each going first in every other round. */
async function inTurns(
  [a, runsA]: readonly [Side, number],
  [b, runsB]: readonly [Side, number],
  { rounds, limit }: PeerOptions,
): Promise<[Sample[], Sample[]]> {
  const samples: [Sample[], Sample[]] = [[], []];
  const begun = performance.now();
  for (let i = 0; i < rounds && (i < 3 || performance.now() - begun < limit); i++) {
    if (i % 2 === 0) samples[0].push(await timed(a, runsA));
    samples[1].push(await timed(b, runsB));
    if (i % 2 === 1) samples[0].push(await timed(a, runsA));
  }
  return samples;
}

/** The largest difference over all outputs. Throws DifferentResults. */
async function compare(
  device: Device,
  { outputs }: OpenCase,
  session: PeerSession,
  { name, float }: PeerCase,
): Promise<number> {
  let worst = 0;
  for (const result of session.results) {
    const tensor = outputs.find((t) => t === result.tensor);
    if (!tensor) continue;
    const theirs = await session.read(result);
    const values = result.type === "f16" ? decodeFloat16(theirs as Uint16Array) : (theirs as Float32Array);
    const difference = relativeDifference(await device.read(tensor), values, tensor);
    if (!(difference <= allowed[float])) {
      throw new DifferentResults(
        `${name}: ${formatSpec(tensor)} differs by ${difference.toPrecision(2)} of its size, more than ${allowed[float]}`,
      );
    }
    worst = Math.max(worst, difference);
  }
  return worst;
}

function relativeDifference(ours: ArrayLike<number>, theirs: ArrayLike<number>, tensor: Tensor): number {
  if (ours.length !== theirs.length)
    throw new DifferentResults(`${formatSpec(tensor)}: ${theirs.length} values instead of ${ours.length}`);
  let [squares, differences] = [0, 0];
  for (let i = 0; i < ours.length; i++) {
    const value = ours[i] as number;
    squares += value ** 2;
    differences += (value - (theirs[i] as number)) ** 2;
  }
  return Math.sqrt(differences / squares);
}
