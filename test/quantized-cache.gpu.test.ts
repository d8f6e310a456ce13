import {
  attention,
  type Device,
  type HostTensor,
  hostTensor,
  quantizedLayout,
  quantizeHost,
  type Recorder,
  ropeAppend,
  ropeAppendOp,
  ropeFrequencies,
  Tensor,
} from "@mask-llava/runtime";
import { Random, upload } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDeviceForTest, openTestDevice } from "./support/device.ts";

const [heads, kvHeads, capacity] = [4, 2, 12];
const caches = ["kCache", "vCache"] as const;

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

interface Setting {
  readonly size: number;
  readonly length: number;
  /** Of each batch item's first token. */
  readonly start: readonly number[];
}

/** Inputs of `ropeAppend` with random caches, which q8_0 holds exactly. */
function appendInputs({ size, length, start }: Setting): Record<string, HostTensor> {
  const random = new Random(5);
  const batch = start.length;
  const cache = () => random.normals([batch, capacity, kvHeads, size], { dtype: "q8_0" });
  const { inverseFrequencies } = ropeFrequencies({ head_dim: size });
  return {
    qkv: random.normals([batch, length, (heads + 2 * kvHeads) * size]),
    invFreq: hostTensor([size / 2], "f32", inverseFrequencies),
    start: hostTensor([batch], "u32", start),
    kCache: cache(),
    vCache: cache(),
  };
}

type Uploaded = Record<"qkv" | "invFreq" | "start" | (typeof caches)[number], Tensor>;

function uploadAll(on: Device, host: Record<string, HostTensor>): Uploaded {
  return Object.fromEntries(Object.entries(host).map(([name, t]) => [name, upload(on, t)])) as Uploaded;
}

function disposeAll(tensors: Uploaded): void {
  for (const tensor of Object.values(tensors)) tensor.dispose();
}

/** Runs what `record` records; gives its outputs. */
async function run(on: Device, record: (cmd: Recorder) => Tensor[]) {
  const cmd = on.record("quantised cache");
  const outputs = record(cmd);
  using program = await cmd.finish({ outputs });
  return { dispatches: program.dispatches, results: await program.runAndRead(outputs) };
}

/** Both planes; what lies between and behind them is nobody's. */
function planes(bytes: Uint8Array, shape: readonly number[]): number[][] {
  const { quants, scales } = quantizedLayout(shape, "q8_0");
  return [quants, scales].map(({ offset, bytes: n }) => [...bytes.subarray(offset, offset + n)]);
}

async function bytesOf(tensor: Tensor): Promise<Uint8Array> {
  const words = new Tensor({ shape: [tensor.storage.bytes / 4], dtype: "u32" }, tensor.storage);
  return new Uint8Array((await device.read(words)).buffer).slice(0, tensor.storage.bytes);
}

describe("rope_append to q8_0", () => {
  test.each<Setting>([
    { size: 128, length: 5, start: [0, 3, 9] },
    // scales of neighbouring heads, positions and items share words
    { size: 80, length: 1, start: [7, 0, 2] },
    { size: 6, length: 3, start: [1, 10, 4] },
  ])("leaves the quants of what it leaves in f32: %o", async (setting) => {
    const host = appendInputs(setting);
    const plain = { ...host };
    for (const name of caches) plain[name] = { ...(host[name] as HostTensor), dtype: "f32" };
    const [quantised, full] = [uploadAll(device, host), uploadAll(device, plain)];
    const { results } = await run(device, (cmd) => [ropeAppend(cmd, quantised)]);
    const params = { attentionScaling: 1 };
    const expected = await run(device, (cmd) => cmd.call(ropeAppendOp, full, params, { variant: "f32" }));
    for (const [i, value] of (results[0] as Float32Array).entries())
      expect(value).toBeCloseTo(expected.results[0]?.[i] ?? Number.NaN, 5);

    const { shape } = full.vCache;
    const values = await device.read(full.vCache);
    expect(planes(await bytesOf(quantised.vCache), shape)).toEqual(
      planes(quantizeHost(values, shape, "q8_0"), shape),
    );
    // compilers may round a rotation differently in another kernel, which can move a quant from a tie
    const keys = Float32Array.from(await device.read(full.kCache));
    const rounded = await device.read(quantised.kCache);
    for (let i = 0; i < keys.length; i++) {
      const first = i - ((i % setting.size) % 32);
      const group = keys.subarray(first, Math.min(first + 32, i - (i % setting.size) + setting.size));
      const step = group.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127;
      const error = Math.abs((rounded[i] as number) - (keys[i] as number));
      expect(error).toBeLessThan(0.5 * step * (1 + 2 ** -10) + 1e-6);
    }
    disposeAll(quantised);
    disposeAll(full);
  });

  test("a group that is not finite is NaN, and no other is", async () => {
    const host = appendInputs({ size: 40, length: 1, start: [2] });
    // element 35 of the first head of values
    (host.qkv as HostTensor).data[(heads + kvHeads) * 40 + 35] = Number.POSITIVE_INFINITY;
    const tensors = uploadAll(device, host);
    await run(device, (cmd) => [ropeAppend(cmd, tensors)]);
    const values = await device.read(tensors.vCache);
    const first = 2 * kvHeads * 40 + 32;
    for (const [i, value] of values.entries())
      expect(Number.isNaN(value), `${i}`).toBe(i >= first && i < first + 8);
    disposeAll(tensors);
  });
});

test("caches in q8_0 that exceed a binding are gone over in windows, with the same results", async () => {
  // an item has 12 · 2 · 4 groups: 3072 bytes of quants, and 192 of scales, which begin aligned at every fourth item at the
  // least; its queries, keys and values are 4096 bytes
  const host = appendInputs({ size: 128, length: 1, start: [0, 3, 11, 5, 4, 9] });
  const results = async (on: Device) => {
    const tensors = uploadAll(on, host);
    const { start, kCache, vCache } = tensors;
    const got = await run(on, (cmd) => {
      const q = ropeAppend(cmd, tensors);
      return [q, attention(cmd, q, kCache, vCache, { causal: true, start })];
    });
    return { ...got, caches: [await on.read(kCache), await on.read(vCache)] };
  };
  const small = await results(
    await openDeviceForTest({ limits: { maxStorageBufferBindingSize: 4 * 4096 + 16 } }),
  );
  const large = await results(await openDeviceForTest());
  expect(small.dispatches).toBe(large.dispatches + 2);
  expect(small.results).toEqual(large.results);
  expect(small.caches).toEqual(large.caches);
});
