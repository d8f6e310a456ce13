import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import {
  Checkpoint,
  CheckpointError,
  MemoryFolder,
  TensorIndex,
  weightBytes,
  writeSafetensors,
} from "@mask-llava/models";
import { FileFolder, saveSafetensors } from "@mask-llava/models/node";
import {
  CancelledError,
  type Device,
  decodeFloat16,
  dequantizeHost,
  isQuantized,
  OutOfMemoryError,
  quantizeHost,
  roundToFloat16,
  type Tensor,
} from "@mask-llava/runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openDeviceForTest, openTestDevice } from "./support/device.ts";
import { type QuantizedWeight, writeWithPlanes } from "./support/planes.ts";

const fixtures = fileURLToPath(new URL("./fixtures/", import.meta.url));

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => device?.dispose());

function random(n: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

const data = {
  "a.weight": { shape: [5, 7], data: random(35, 1) },
  "a.bias": { shape: [5], data: random(5, 2) },
  "b.weight": { shape: [3, 7], data: random(21, 3) },
  "b.half": { shape: [3], data: new Uint16Array([0x3c00, 0xbc01, 0x0001]) },
  position_ids: { shape: [1, 4], data: new BigInt64Array([0n, 1n, 2n, -3n]) },
};
const folder = () => new MemoryFolder({ "model.safetensors": writeSafetensors(data) }, "memory");
const ignore = [/^a\./, /^b\./, /position_ids$/];
const open = (options = {}) => Checkpoint.open(device, folder(), options);

/** What a quantised tensor holds after these values went through the plain loops. */
function quantized(values: ArrayLike<number>, { shape, dtype }: Tensor): number[] {
  return isQuantized(dtype) ? [...dequantizeHost(quantizeHost(values, shape, dtype), shape, dtype)] : [];
}

const read = async (t: Tensor) => [...(await device.read(t))];

describe("what arrives on the GPU", () => {
  test.each(["f32", "f16"] as const)("is what the file holds, in %s", async (dtype) => {
    using checkpoint = await open({ dtype });
    const w = checkpoint.weights;
    const a = w.at("a");
    const [weight, bias] = [a.take("weight", [5, 7]), a.take("bias", [5])];
    const exact = a.take("bias", [5], { dtype: "f32" });
    const half = w.at("b").take("half", [3]);
    const ids = w.take("position_ids", [1, 4]);
    const joined = w.takeConcat([
      ["a.weight", [5, 7]],
      ["b.weight", [3, 7]],
    ]);
    const scaled = a.derive({
      label: "scaled",
      shape: [5, 7],
      dtype: "f32",
      from: { w: { name: "weight", shape: [5, 7] }, b: { name: "bias", shape: [5] } },
      compute: ({ w, b }) =>
        (w as Float32Array).map((x, i) => x * ((b as Float32Array)[Math.floor(i / 7)] as number)),
    });
    const host = await a.takeHost("weight", [5, 7]);
    const progress: [number, number][] = [];
    await checkpoint.load({ onProgress: (...p) => progress.push(p) });

    const round = (values: Float32Array) => [...values].map((x) => (dtype === "f16" ? roundToFloat16(x) : x));
    const { "a.weight": aw, "a.bias": ab, "b.weight": bw } = data;
    expect(await read(weight)).toEqual(round(aw.data));
    expect(await read(bias)).toEqual(round(ab.data));
    expect(await read(exact)).toEqual([...ab.data]);
    expect(await read(half)).toEqual([1, -1.0009765625, 2 ** -24]);
    expect(await read(ids)).toEqual([0, 1, 2, -3]);
    expect(joined.shape).toEqual([8, 7]);
    expect(await read(joined)).toEqual([...round(aw.data), ...round(bw.data)]);
    expect(await read(scaled)).toEqual([
      ...aw.data.map((x, i) => x * (ab.data[Math.floor(i / 7)] as number)),
    ]);
    expect(host).toEqual(aw.data);
    expect(weight).toMatchObject({ label: "a.weight", dtype, shape: [5, 7] });
    const [done, total] = progress.at(-1) as [number, number];
    expect(done).toBe(total);
  });

  test.each([
    ["q8", "q8_0", "q8_0"],
    ["q4", "q4_0", "q8_0"],
  ] as const)(
    "is quantised where the network says what it is for, in %s",
    async (dtype, linear, vocabulary) => {
      const wide = { shape: [9, 64], data: random(9 * 64, 11) };
      const odd = { shape: [7, 64], data: random(7 * 64, 12) };
      const halves = { shape: [5, 45], data: Uint16Array.from({ length: 225 }, (_, i) => 0x2c00 + 7 * i) };
      const file = writeSafetensors({
        wide,
        odd,
        halves,
        bias: { shape: [9], data: random(9, 13) },
      });
      const files = new MemoryFolder({ "model.safetensors": file }, "memory");
      using checkpoint = await Checkpoint.open(device, files, { dtype });
      const w = checkpoint.weights;
      const taken = {
        wide: w.take("wide", [9, 64], { role: "linear" }),
        halves: w.take("halves", [5, 45], { role: "vocabulary" }),
        joined: w.takeConcat(
          [
            ["odd", [7, 64]],
            ["wide", [9, 64]],
          ],
          { role: "linear" },
        ),
        plain: w.take("wide", [9, 64]),
        bias: w.take("bias", [9], { dtype: "f32" }),
      };
      await checkpoint.load();
      const types = Object.values(taken).map((t) => t.dtype);
      expect(types).toEqual([linear, vocabulary, linear, "f16", "f32"]);
      expect(await read(taken.wide)).toEqual(quantized(wide.data, taken.wide));
      expect(await read(taken.halves)).toEqual(quantized(decodeFloat16(halves.data), taken.halves));
      expect(await read(taken.joined)).toEqual(quantized([...odd.data, ...wide.data], taken.joined));
      expect(await read(taken.plain)).toEqual([...wide.data].map(roundToFloat16));
    },
  );

  test.each(["q8_0", "q4_0", "q4_1"] as const)(
    "is what was stored, where planes of %s stand below each other",
    async (dtype) => {
      const weight = (rows: number, seed: number): QuantizedWeight => {
        return { shape: [rows, 64], data: random(rows * 64, seed), dtype };
      };
      const [b, a] = [weight(3, 21), weight(5, 22)];
      const files = new MemoryFolder({ "model.safetensors": writeWithPlanes({ a, b }) }, "memory");
      using checkpoint = await Checkpoint.open(device, files, { dtype: "stored" });
      const parts = [
        ["b", [3, 64]],
        ["a", [5, 64]],
      ] as const;
      const joined = checkpoint.weights.takeConcat(parts, { role: "linear" });
      await checkpoint.load();
      expect(joined).toMatchObject({ dtype, shape: [8, 64] });
      expect(await read(joined)).toEqual(quantized([...b.data, ...a.data], joined));
    },
  );

  test.each([64, 33])("is quantised from bf16 rows of %i, two a word or not", async (width) => {
    const bits = Uint16Array.from(
      { length: 12 * width },
      (_, i) => 0x3c00 + 37 * (i % 64) + 0x8000 * (i % 2),
    );
    const entry = { dtype: "BF16", shape: [12, width], data_offsets: [0, bits.byteLength] };
    const header = new TextEncoder().encode(JSON.stringify({ brain: entry }).padEnd(96));
    const file = new Uint8Array(8 + header.length + bits.byteLength);
    new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
    file.set(header, 8);
    file.set(new Uint8Array(bits.buffer), 8 + header.length);
    const files = new MemoryFolder({ "model.safetensors": file }, "memory");
    using checkpoint = await Checkpoint.open(device, files, { dtype: "q8" });
    const brain = checkpoint.weights.take("brain", [12, width], { role: "linear" });
    await checkpoint.load();
    const floats = new Float32Array(Uint32Array.from(bits, (b) => b << 16).buffer);
    expect(await read(brain)).toEqual(quantized(floats, brain));
  });

  test.each(["llama-tied-llama3", "llava-older"])("is the whole of %s, shards and all", async (name) => {
    const files = await FileFolder.open(fixtures + name);
    using checkpoint = await Checkpoint.open(device, files);
    const taken = [...checkpoint.shapes].map(([n, shape]) => [n, checkpoint.take(n, shape)] as const);
    const before = new Map<string, Float32Array>();
    for (const [n, t] of taken) if (t.dtype === "f32") before.set(n, await checkpoint.takeHost(n, t.shape));
    await checkpoint.load();
    for (const [n, t] of taken) if (t.dtype === "f32") expect(await device.read(t), n).toEqual(before.get(n));
  });
});

describe("the cursor is strict", () => {
  test("absent, misshapen and inconvertible tensors", async () => {
    using checkpoint = await open();
    const w = checkpoint.weights.at("a");
    const at = (f: () => unknown) => {
      try {
        f();
      } catch (error) {
        return error as CheckpointError;
      }
      throw new Error("nothing was thrown");
    };
    expect(at(() => w.take("nothing", [5]))).toMatchObject({ tensor: "a.nothing", code: "CHECKPOINT" });
    expect(at(() => w.take("weight", [7, 5]))).toMatchObject({ found: "[5, 7]", expected: "[7, 5]" });
    expect(at(() => w.take("weight", [35]))).toBeInstanceOf(CheckpointError);
    expect(at(() => w.take("weight", [5, 7], { dtype: "i32" })).message).toMatch(
      /cannot be loaded as i32 \(found F32\)/,
    );
    expect(at(() => w.take("../position_ids", [1, 4], { dtype: "f32" }))).toBeInstanceOf(CheckpointError);
    expect(at(() => checkpoint.weights.take("position_ids", [1, 4], { dtype: "f32" }))).toBeInstanceOf(
      CheckpointError,
    );
    expect(
      at(() =>
        checkpoint.weights.takeConcat([
          ["a.weight", [5, 7]],
          ["a.bias", [5]],
        ]),
      ),
    ).toMatchObject({ tensor: "a.bias" });
    expect(
      at(() =>
        checkpoint.weights.takeConcat([
          ["a.weight", [5, 7]],
          ["position_ids", [1, 4]],
        ]),
      ).message,
    ).toMatch(/cannot stand below "a.weight" of \[5, 7\], which is held as f32 \(found i32\)/);
    expect(w.typeOf("weight", [5, 7], { dtype: "f16" })).toBe("f16");
    expect(at(() => w.typeOf("weight", [7, 5]))).toMatchObject({ found: "[5, 7]", expected: "[7, 5]" });
    await expect(w.takeHost("bias", [6])).rejects.toThrow(/another shape/);
    expect([w.has("bias"), w.has("x"), w.hasAny("b"), checkpoint.weights.hasAny("b")]).toEqual([
      true,
      false,
      false,
      true,
    ]);
    expect(w.takeOptional("x", [1])).toBeUndefined();
    expect(w.shape("weight")).toEqual([5, 7]);
    expect(device.buffers.live()).toEqual([]);
  });

  test("planes of which a part's scales would begin within a word", async () => {
    const weight = { shape: [3, 7], data: random(21, 23), dtype: "q8_0" } as const;
    const files = new MemoryFolder({ "model.safetensors": writeWithPlanes({ a: weight, b: weight }) });
    using checkpoint = await Checkpoint.open(device, files, { dtype: "stored" });
    const parts = [
      ["a", [3, 7]],
      ["b", [3, 7]],
    ] as const;
    expect(() => checkpoint.weights.takeConcat(parts, { role: "linear" })).toThrow(
      /"b": cannot stand below "a" of \[3, 7\]: scales are written in whole words/,
    );
  });

  test("a tensor taken twice is one tensor", async () => {
    using checkpoint = await open({ ignore });
    const one = checkpoint.weights.take("a.weight", [5, 7]);
    expect(checkpoint.weights.at("a").take("weight", [5, 7])).toBe(one);
    expect(checkpoint.weights.take("a.weight", [5, 7], { dtype: "f16" })).not.toBe(one);
    expect(device.buffers.live()).toHaveLength(2);
  });

  test("load names what was left, and frees what was taken", async () => {
    const checkpoint = await open({ ignore: [/position_ids$/] });
    checkpoint.weights.take("a.weight", [5, 7]);
    await expect(checkpoint.load()).rejects.toThrow(/does not have: a\.bias, b\.weight, b\.half|a\.bias/);
    expect(device.buffers.live()).toEqual([]);
    expect(() => checkpoint.weights.take("a.bias", [5])).toThrow(/released/);
  });

  test("older and current names through one table", async () => {
    const rename = [
      { from: /^vision_model\.(.*)$/, to: "$1" },
      { from: "b.", to: "beta." },
    ];
    using checkpoint = await open({ rename, ignore: [/^a\./, /position_ids$/, /half$/] });
    const t = checkpoint.weights.take("beta.weight", [3, 7]);
    expect(t.label).toBe("b.weight");
    expect(() => checkpoint.weights.take("beta.weight", [1])).toThrow(
      /"b\.weight": has another shape than the network's beta\.weight/,
    );
  });
});

describe("nothing is left behind", () => {
  test("after an overflow in f16", async () => {
    const files = new MemoryFolder({
      "model.safetensors": writeSafetensors({ w: { shape: [3], data: new Float32Array([1, 7e4, 2]) } }),
    });
    const checkpoint = await Checkpoint.open(device, files, { dtype: "f16" });
    checkpoint.weights.take("w", [3]);
    await expect(checkpoint.load()).rejects.toThrow(
      /tensor "w": element 1 does not fit f16; load as f32 \(found 70000\)/,
    );
    expect(device.buffers.live()).toEqual([]);
  });

  test("after an abort", async () => {
    const checkpoint = await open({ ignore });
    checkpoint.weights.take("a.weight", [5, 7]);
    await expect(checkpoint.load({ signal: AbortSignal.abort() })).rejects.toBeInstanceOf(CancelledError);
    expect(device.buffers.live()).toEqual([]);
  });

  test("when the budget is too small, which is known before anything is allocated", async () => {
    const small = await openDeviceForTest({ memoryBudget: 200 });
    const index = await TensorIndex.open(folder());
    expect(weightBytes(index, "f32")).toBe(144 + 32 + 96 + 16 + 16);
    expect(weightBytes(index, "f16", [/position_ids/])).toBe(80 + 16 + 48 + 16);
    // rows of 7 are a padded group; scales start at a multiple of 256 bytes
    expect(weightBytes(index, "q4", [/position_ids/])).toBe(256 + 16 + 16 + 256 + 16 + 16);
    expect(() => new Checkpoint(small, index)).toThrow(OutOfMemoryError);
    expect(() => new Checkpoint(small, index)).toThrow(/the weights of memory in f32 needs 304 B/);
    new Checkpoint(small, index, { ignore }).dispose();
    expect(small.buffers.live()).toEqual([]);
  });
});

test("384 MiB of weights pass through less than 256 MiB of host memory beyond themselves", async () => {
  const dir = await mkdtemp(path.join(tmpdir(), "mask-llava-test-"));
  try {
    // one tensor is larger than any chunk, and many are smaller
    const big = random(24 * 2 ** 20, 5);
    const tensors: Record<string, { shape: number[]; data: Float32Array }> = {};
    for (let i = 0; i < 4; i++) tensors[`w${i}`] = { shape: [4096, 6144], data: big };
    for (let i = 0; i < 100; i++) tensors[`s${i}`] = { shape: [999], data: big.subarray(i, i + 999) };
    await saveSafetensors(path.join(dir, "model.safetensors"), tensors);
    using checkpoint = await Checkpoint.open(device, await FileFolder.open(dir), { dtype: "f16" });
    const before = process.memoryUsage.rss();
    const taken = Object.entries(tensors).map(([name, { shape }]) => checkpoint.weights.take(name, shape));
    let peak = 0;
    await checkpoint.load({ onProgress: () => (peak = Math.max(peak, process.memoryUsage.rss())) });
    expect(peak - before - checkpoint.bytes()).toBeLessThan(256 * 2 ** 20);
    const [first, last] = [await device.read(taken[0] as Tensor), await device.read(taken.at(-1) as Tensor)];
    for (let i = 0; i < big.length; i += 100_003) expect(first[i]).toBe(roundToFloat16(big[i] as number));
    expect([...last]).toEqual([...big.subarray(99, 1098)].map(roundToFloat16));
  } finally {
    await rm(dir, { recursive: true });
  }
});
