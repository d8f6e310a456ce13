import type { Device, Program, Tensor } from "@mask-llava/runtime";
import type { KvCache, LlamaNetwork } from "../llama/index.ts";
import type { DecodingState } from "./decoding-state.ts";

/** One sequence that is decoded, behind its prompt. */
export interface Decoding {
  readonly network: LlamaNetwork;
  readonly cache: KvCache;
  readonly state: DecodingState;
}

export interface DecodeControls {
  /** Most new tokens. */
  readonly steps: number;
  /** How many tokens of the sequence stand before the first new one. */
  readonly length: number;
  /** Whether each token is wanted as soon as it is there. */
  readonly streaming: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** Reads under way: the host encodes while the GPU works. */
const readsInFlight = 2;
/** Most steps that are read together where nobody waits for each of them. */
const stepsARead = 4;

/**
 * Steps that the next read covers. What runs behind the end of an answer is wasted: less than two reads, so that these
 * grow with the answer to at most a quarter of it.
 */
function stepsTogether(submitted: number, { steps, streaming }: DecodeControls): number {
  const most = streaming ? 1 : Math.min(stepsARead, 1 + Math.floor(submitted / 8));
  return Math.min(most, steps - submitted);
}

/**
 * Replays a decoding step until `take` gives something for a token, and returns that; undefined where the steps or the
 * signal ended it. Tokens stay on the GPU, where the next step finds them.
 */
export async function decode<Reason>(
  device: Device,
  { network, cache, state }: Decoding,
  take: (id: number) => Reason | undefined,
  controls: DecodeControls,
): Promise<Reason | undefined> {
  const { steps, length, signal } = controls;
  const cmd = device.record("decode");
  const x = network.embed(cmd, state.last.reshape([1, 1])); // [1, 1, D]
  const { lastHiddenState } = network.forward(cmd, x, cache, state.position); // [1, 1, D]
  const token = state.step(cmd, network.logits(cmd, network.lastRow(cmd, lastHiddenState))); // [1]
  using program = await cmd.finish({ outputs: [token] });
  const inFlight: Promise<ArrayLike<number>>[] = [];
  let submitted = 0;
  try {
    for (;;) {
      while (inFlight.length < readsInFlight && submitted < steps && !signal?.aborted) {
        const count = stepsTogether(submitted, controls);
        const read = readSteps(program, { token, history: state.history, from: length + submitted, count });
        read.catch(() => {}); // a failure is seen when its turn comes
        inFlight.push(read);
        submitted += count;
      }
      const next = inFlight.shift();
      if (!next) return undefined;
      for (const id of Array.from(await next)) {
        const reason = take(id);
        if (reason !== undefined) return reason;
      }
    }
  } finally {
    await Promise.allSettled(inFlight);
  }
}

interface Steps {
  /** u32 [1] */
  readonly token: Tensor;
  /** u32 [1, capacity] */
  readonly history: Tensor;
  /** Where the history gets the first token. */
  readonly from: number;
  readonly count: number;
}

/** Runs `count` steps and reads their tokens: the last one's, or those that the history got. */
async function readSteps(program: Program, { token, history, from, count }: Steps) {
  for (let i = 1; i < count; i++) program.run();
  const [ids = []] = await program.runAndRead([count === 1 ? token : history]);
  return count === 1 ? ids : ids.slice(from, from + count);
}
