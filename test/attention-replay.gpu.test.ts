import {
  attention,
  type Device,
  hostTensor,
  KernelError,
  rope,
  ropeAppend,
  ropeFrequencies,
  softmax,
} from "@mask-llava/runtime";
import { compare, Random, upload } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDeviceForTest, openTestDevice } from "./support/device.ts";

const [heads, kvHeads, size, capacity] = [4, 2, 16, 24];
const tolerance = { abs: 5e-6, rel: 5e-6 };

describe("decoding with a recorded program", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openTestDevice();
  });
  afterAll(() => {
    expect(device.buffers.live()).toEqual([]);
    device.dispose();
  });

  /** One call on all tokens, against one program that is replayed with another `start` for each. */
  test.each(["f32", "f16", "q8_0"] as const)("token by token equals all at once, %s cache", async (dtype) => {
    const random = new Random(7);
    const [batch, tokens] = [2, 19];
    const packed = (heads + 2 * kvHeads) * size;
    const values = random.normals([batch, tokens, packed]);
    const { inverseFrequencies } = ropeFrequencies({ head_dim: size });
    const invFreq = device.tensor({ shape: [size / 2], dtype: "f32" }, inverseFrequencies);
    const start = device.tensor({ shape: [batch], dtype: "u32" }, new Uint32Array(batch));
    const cacheShape = [batch, capacity, kvHeads, size];
    const newCache = () => upload(device, new Random(3).normals(cacheShape, { dtype }));
    const all = { kCache: newCache(), vCache: newCache() };
    const one = { kCache: newCache(), vCache: newCache() };

    const step = async (caches: typeof all, length: number) => {
      const qkv = device.tensor({ shape: [batch, length, packed], dtype: "f32" });
      const cmd = device.record(`step of ${length}`);
      const rotated = ropeAppend(cmd, { qkv, ...caches, invFreq, start });
      const output = attention(cmd, rotated, caches.kCache, caches.vCache, { causal: true, start });
      return { qkv, output, program: await cmd.finish({ outputs: [output] }) };
    };
    const rows = (data: Float64Array, width: number, token: number, length: number) =>
      Float32Array.from(
        Array.from({ length: batch }, (_, b) => [
          ...data.subarray((b * tokens + token) * width, (b * tokens + token + length) * width),
        ]).flat(),
      );
    const feed = ({ qkv }: Awaited<ReturnType<typeof step>>, token: number, length: number) => {
      device.write(qkv, rows(values.data, packed, token, length));
      device.write(start, new Uint32Array(batch).fill(token));
    };

    const whole = await step(all, tokens);
    feed(whole, 0, tokens);
    const [expected] = await whole.program.runAndRead([whole.output]);
    const single = await step(one, 1);
    const width = heads * size;
    for (let token = 0; token < tokens; token++) {
      feed(single, token, 1);
      const [actual] = await single.program.runAndRead([single.output]);
      const want = rows(Float64Array.from(expected ?? []), width, token, 1);
      const result = compare(actual ?? [], hostTensor([batch, 1, heads, size], "f32", want), tolerance);
      expect(result.ok, `token ${token}: ${result.message}`).toBe(true);
    }
    expect(await device.read(one.kCache)).toEqual(await device.read(all.kCache));
    expect(await device.read(one.vCache)).toEqual(await device.read(all.vCache));

    for (const { program, qkv } of [whole, single]) {
      program.dispose();
      qkv.dispose();
    }
    for (const t of [invFreq, start, ...Object.values(all), ...Object.values(one)]) t.dispose();
  });
});

describe("tensors larger than a binding", () => {
  test("attention, rope and softmax go over them in windows, with the same results", async () => {
    const small = await openDeviceForTest({ limits: { maxStorageBufferBindingSize: 16384 } });
    const large = await openDeviceForTest();
    const run = async (device: Device) => {
      const random = new Random(11);
      // rows of all tensors are multiples of 256 bytes, the coarsest alignment of a window
      const [batch, length] = [5, 16];
      const shape = [batch, length, heads, size];
      const tensors = {
        qkv: upload(device, random.normals([batch, length, (heads + 2 * kvHeads) * size])),
        kCache: upload(device, random.normals([batch, capacity, kvHeads, size])),
        vCache: upload(device, random.normals([batch, capacity, kvHeads, size])),
        invFreq: upload(device, random.normals([size / 2])),
        start: upload(device, hostTensor([batch], "u32", [0, 1, 2, 3, 4])),
      };
      const { invFreq, start, kCache, vCache } = tensors;
      const q = upload(device, random.normals(shape));
      const k = upload(device, random.normals([batch, length, kvHeads, size]));
      const v = upload(device, random.normals([batch, length, kvHeads, size]));
      const bias = upload(device, random.normals([batch, 1, length, length]));
      // heads that are turned in part are another kernel's
      const inPart = { ...tensors, invFreq: upload(device, random.normals([size / 4])) };
      const cmd = device.record("windows");
      const outputs = [
        attention(cmd, q, k, v, { bias }),
        rope(cmd, q, invFreq, start),
        ropeAppend(cmd, tensors),
        attention(cmd, q, kCache, vCache, { causal: true, start }),
        ropeAppend(cmd, inPart),
        attention(cmd, q, kCache, vCache, { causal: true, start }),
        softmax(cmd, q),
      ];
      using program = await cmd.finish({ outputs });
      return { dispatches: program.dispatches, results: await program.runAndRead(outputs) };
    };
    const windowed = await run(small);
    const plain = await run(large);
    expect(windowed.dispatches).toBeGreaterThan(plain.dispatches);
    expect(windowed.results).toEqual(plain.results);
  });

  test("a batch item that exceeds a binding is an error that names the tensors", async () => {
    const device = await openDeviceForTest({ limits: { maxStorageBufferBindingSize: 2048 } });
    const q = upload(device, new Random(1).normals([2, 20, heads, size]), "q");
    const cmd = device.record("too large");
    expect(() => attention(cmd, q, q, q)).toThrow(KernelError);
    expect(() => attention(cmd, q, q, q)).toThrow(/q f32\[2, 20, 4, 16\].*2048 bytes/);
  });
});
