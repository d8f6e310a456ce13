import {
  advance,
  advanceOp,
  type Device,
  hostTensor,
  invalidToken,
  penalise,
  sample,
  sampleOp,
  type Tensor,
  warp,
} from "@mask-llava/runtime";
import { compare, Random, upload } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";
import { Fixture } from "./support/fixtures.ts";

/** A case of `sampling` in a fixture's expect.json; what is absent is off. */
interface SamplingCase {
  readonly name: string;
  readonly logits: string;
  readonly temperature?: number;
  readonly top_k?: number;
  readonly top_p?: number;
  readonly min_p?: number;
  readonly repetition_penalty?: number;
}

const fixtures = ["llama-gqa", "llama-tied-llama3", "llama-f16"];

function settingsOf(c: SamplingCase): number[] {
  return [c.temperature ?? 1, c.top_k ?? 0, c.top_p ?? 1, c.min_p ?? 0, c.repetition_penalty ?? 1];
}

/**
 * Pearson's statistic of `counts` against `probabilities` as a standard normal deviate (Wilson and Hilferty 1931). Cells
 * that expect fewer than five are pooled.
 */
function deviate(counts: readonly number[], probabilities: ArrayLike<number>): number {
  const draws = counts.reduce((a, b) => a + b, 0);
  const cells: { expected: number; found: number }[] = [];
  const pool = { expected: 0, found: 0 };
  counts.forEach((found, i) => {
    const expected = draws * (probabilities[i] as number);
    if (expected >= 5) cells.push({ expected, found });
    else {
      pool.expected += expected;
      pool.found += found;
    }
  });
  if (pool.expected >= 5) cells.push(pool);
  const freedom = cells.length - 1;
  if (freedom < 1) return 0;
  const statistic = cells.reduce((sum, { expected, found }) => sum + (found - expected) ** 2 / expected, 0);
  const spread = 2 / (9 * freedom);
  return ((statistic / freedom) ** (1 / 3) - (1 - spread)) / Math.sqrt(spread);
}

/** Seeds are fixed, so this is no matter of luck; a right sampler is beyond it once in 30,000 choices of seeds. */
const mostDeviate = 4;

function tally(tokens: ArrayLike<number>, vocabulary: number): number[] {
  const counts: number[] = new Array(vocabulary).fill(0);
  for (let i = 0; i < tokens.length; i++) {
    const id = tokens[i] as number;
    counts[id] = (counts[id] ?? 0) + 1;
  }
  expect(counts.length).toBe(vocabulary); // an id beyond would have made it longer
  return counts;
}

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

describe.each(fixtures)("%s", (name) => {
  test("the f64 warpers give transformers' distributions", async () => {
    const fixture = await Fixture.open(name);
    for (const c of fixture.json.sampling as SamplingCase[]) {
      const [temperature, topK, topP, minP, repetitionPenalty] = settingsOf(c) as [
        number,
        number,
        number,
        number,
        number,
      ];
      const logits = Float64Array.from(fixture.floats(c.logits));
      const scores = penalise(logits, fixture.ids("sampling.input_ids"), repetitionPenalty);
      const actual = warp(scores, { temperature, topK, topP, minP, repetitionPenalty });
      const data = Float64Array.from(fixture.floats(`sampling.${c.name}.probs`));
      // the expected ones are f32: scores of up to some 10 are rounded at 1e-6, and so are the exponents
      const result = compare(actual, { shape: [data.length], dtype: "f32", data }, { abs: 1e-7, rel: 5e-6 });
      expect(result.ok, `${c.name}: ${result.message}`).toBe(true);
    }
  });
});

test("draws follow transformers' distributions", async () => {
  const fixture = await Fixture.open("llama-gqa");
  // a draw is some hundred barriers, which software adapters run slowly: most draws go to two of the cases there
  const rows = device.info.software ? 64 : 1024;
  const ids = fixture.ids("sampling.input_ids");
  const vocabulary = fixture.floats("sampling.logits").length;
  const word = (shape: number[], data?: Uint32Array) => device.tensor({ shape, dtype: "u32" }, data);
  using logits = device.tensor({ shape: [rows, vocabulary], dtype: "f32" });
  const repeated = Array.from({ length: rows }, () => ids).flat();
  using history = word([rows, ids.length], Uint32Array.from(repeated));
  using length = word([rows], new Uint32Array(rows).fill(ids.length));
  using random = word([rows, 2]);
  using settings = device.tensor({ shape: [5], dtype: "f32" });
  const cmd = device.record("draws");
  const token = sample(cmd, { logits, history, length, random, settings }, { draw: true, penalty: true });
  using program = await cmd.finish({ outputs: [token] });
  for (const c of fixture.json.sampling as SamplingCase[]) {
    const row = fixture.floats(c.logits);
    device.write(logits, Float32Array.from(Array.from({ length: rows }, () => [...row]).flat()));
    device.write(settings, Float32Array.from(settingsOf(c)));
    const drawn: number[] = [];
    const runs = ["plain", "all"].includes(c.name) ? 6 : 1;
    for (let run = 0; run < runs; run++) {
      // what decoding does: one seed, a step a token
      device.write(
        random,
        Uint32Array.from({ length: 2 * rows }, (_, i) => (i % 2 ? run * rows + (i >> 1) : 42)),
      );
      const [tokens] = await program.runAndRead([token]);
      drawn.push(...(tokens as Uint32Array));
    }
    const counts = tally(drawn, vocabulary);
    const probabilities = fixture.floats(`sampling.${c.name}.probs`);
    const wrong = counts.flatMap((n, id) => (n > 0 && probabilities[id] === 0 ? [id] : []));
    expect(wrong, `${c.name}: tokens that were filtered away`).toEqual([]);
    expect(deviate(counts, probabilities), c.name).toBeLessThan(mostDeviate);
  }
});

/** Draws among eight equal tokens, a row a (seed, step). */
async function drawEqual(pairs: readonly (readonly [number, number])[]): Promise<Uint32Array> {
  const rows = pairs.length;
  using logits = device.tensor({ shape: [rows, 8], dtype: "f32" }, new Float32Array(8 * rows).fill(1.5));
  using history = device.tensor({ shape: [rows, 1], dtype: "u32" }, new Uint32Array(rows));
  using length = device.tensor({ shape: [rows], dtype: "u32" }, new Uint32Array(rows));
  using random = device.tensor({ shape: [rows, 2], dtype: "u32" }, Uint32Array.from(pairs.flat()));
  using settings = device.tensor({ shape: [5], dtype: "f32" }, Float32Array.of(1, 0, 1, 0, 1));
  const cmd = device.record("equal draws");
  const token = sample(cmd, { logits, history, length, random, settings }, { draw: true, penalty: false });
  using program = await cmd.finish({ outputs: [token] });
  const [tokens] = await program.runAndRead([token]);
  return tokens as Uint32Array;
}

test.each([
  ["steps of one seed", (i: number) => [7, i] as const],
  ["seeds at one step", (i: number) => [i, 3] as const],
])("numbers of neighbouring %s are independent", async (_, pair) => {
  const tokens = await drawEqual(
    Array.from({ length: device.info.software ? 1024 : 8192 }, (__, i) => pair(i)),
  );
  const even = new Float64Array(64).fill(1 / 64);
  for (const lag of [1, 2]) {
    const cells = Array.from(tokens.subarray(lag), (b, i) => 8 * (tokens[i] as number) + b);
    expect(deviate(tally(cells, 64), even), `lag ${lag}`).toBeLessThan(mostDeviate);
  }
});

test("a program of sample and advance replays with a new number each time, as the references do", async () => {
  const [rows, vocabulary, capacity, replays] = [3, 300, 12, 9];
  const r = new Random(5);
  const host = {
    logits: r.normals([rows, vocabulary], { scale: 2 }),
    history: hostTensor([rows, capacity], "u32", new Float64Array(rows * capacity)),
    length: hostTensor([rows], "u32", [0, 0, 0]),
    random: hostTensor([rows, 2], "u32", [1, 0, 2, 0, 3, 0]),
    settings: hostTensor([5], "f32", [0.9, 40, 0.95, 0, 1.2]),
    last: hostTensor([rows], "u32", [0, 0, 0]),
    position: hostTensor([rows], "u32", [4, 5, 6]),
    done: hostTensor([rows], "u32", [0, 0, 0]),
    eos: hostTensor([1], "u32", [vocabulary]),
  };
  const names = Object.keys(host) as (keyof typeof host)[];
  const state = Object.fromEntries(names.map((n) => [n, upload(device, host[n], n)])) as Record<
    keyof typeof host,
    Tensor
  >;
  try {
    const { logits, settings, ...moved } = state;
    const { history, length, random } = moved;
    const cmd = device.record("decode");
    const params = { draw: true, penalty: true };
    advance(cmd, { ...moved, token: sample(cmd, { logits, history, length, random, settings }, params) });
    using program = await cmd.finish();
    for (let i = 0; i < replays; i++) {
      program.run();
      const [token] = sampleOp.reference(host, params);
      const { logits: _, settings: __, ...inputs } = host;
      if (token) advanceOp.reference({ ...inputs, token }, {});
    }
    for (const name of ["history", "length", "random", "last", "position"] as const)
      expect([...(await device.read(state[name]))], name).toEqual([...host[name].data]);
    const first = [...host.history.data.subarray(0, replays)];
    expect(new Set(first).size).toBeGreaterThan(replays / 2);
  } finally {
    for (const tensor of Object.values(state)) tensor.dispose();
  }
});

test.each([true, false])("a row without a choice gives the invalid token (draw: %s)", async (draw) => {
  const inf = Number.POSITIVE_INFINITY;
  const data = [0, Number.NaN, 1, 0, -inf, -inf, -inf, -inf, -inf, -inf, -3, -inf];
  using logits = device.tensor({ shape: [3, 4], dtype: "f32" }, Float32Array.from(data));
  using history = device.tensor({ shape: [3, 1], dtype: "u32" }, new Uint32Array(3));
  using length = device.tensor({ shape: [3], dtype: "u32" }, new Uint32Array(3));
  using random = device.tensor({ shape: [3, 2], dtype: "u32" }, new Uint32Array(6));
  using settings = device.tensor({ shape: [5], dtype: "f32" }, Float32Array.of(1, 2, 0.9, 0, 1));
  const cmd = device.record("no choice");
  const token = sample(cmd, { logits, history, length, random, settings }, { draw, penalty: false });
  using program = await cmd.finish({ outputs: [token] });
  const [tokens] = await program.runAndRead([token]);
  expect([...(tokens as Uint32Array)]).toEqual([invalidToken, invalidToken, 2]);
});
