import { CancelledError, type DType, Tensor, type TensorSpec } from "@mask-llava/runtime";
import { expect, test } from "vitest";
import { type ByteSource, MemorySource } from "./byte-source.ts";
import { readSafetensors } from "./safetensors.ts";
import type { StoredTensor } from "./stored-tensor.ts";
import { planReads, type Upload, type UploadDevice, upload } from "./upload.ts";
import { type HostTensorData, writeSafetensors } from "./write-safetensors.ts";

/** Keeps what is written, and how far the writes run ahead of `idle`. */
class Sink implements UploadDevice {
  readonly memory = new Map<Tensor, Uint8Array>();
  staged = 0;
  mostStaged = 0;

  tensor(shape: readonly number[], dtype: DType): Tensor {
    const bytes = shape.reduce((n, d) => n * d, 4);
    const storage = {
      bytes,
      label: "t",
      buffer: undefined,
      state: "live" as const,
      owner: undefined,
      release() {},
    };
    const tensor = new Tensor({ shape, dtype }, storage);
    this.memory.set(tensor, new Uint8Array(bytes));
    return tensor;
  }

  write(tensor: Tensor, data: ArrayBufferView, byteOffset = 0): void {
    if (byteOffset % 4) throw new Error(`write at ${byteOffset}`);
    this.memory.get(tensor)?.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), byteOffset);
    this.staged += data.byteLength;
    this.mostStaged = Math.max(this.mostStaged, this.staged);
  }

  quantize: UploadDevice["quantize"] = async () => {
    throw new Error("nothing here is quantised");
  };

  unpack: UploadDevice["unpack"] = async () => {
    throw new Error("nothing here is of blocks");
  };

  async faults(): Promise<readonly number[]> {
    return [];
  }

  async idle(): Promise<void> {
    this.staged = 0;
  }
}

function random(n: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return state / 2 ** 31;
  });
}

async function stored(
  tensors: Record<string, HostTensorData>,
  name = "f",
): Promise<Map<string, StoredTensor>> {
  const source = new MemorySource(name, writeSafetensors(tensors));
  return new Map((await readSafetensors(source)).tensors);
}

const data = {
  big: { shape: [333, 7], data: random(2331, 1) },
  small: { shape: [3], data: random(3, 2) },
  tiny: { shape: [1], data: random(1, 3) },
  ids: { shape: [5], data: new BigInt64Array([1n, -2n, 3n, -4n, 5n]) },
  empty: { shape: [0, 3], data: new Float32Array(0) },
};

test("the plan covers every byte once, in file order, within the chunk", async () => {
  const sink = new Sink();
  const tensors = [...(await stored(data)).values(), ...(await stored(data, "e")).values()];
  const uploads = tensors.map((s): Upload => {
    return { stored: s, target: sink.tensor(s.shape, "f32"), dtype: "f32", firstElement: 0 };
  });
  const reads = planReads(uploads, 1024);
  let last = "";
  let at = 0;
  const covered = new Map<Upload, number>();
  for (const read of reads) {
    expect(read.end - read.begin).toBeLessThanOrEqual(1024);
    if (read.source.name === last) expect(read.begin).toBeGreaterThanOrEqual(at);
    else expect(read.source.name > last).toBe(true);
    last = read.source.name;
    at = read.end;
    for (const { upload: u, begin, end } of read.parts) {
      expect(begin).toBeGreaterThanOrEqual(read.begin);
      expect(end).toBeLessThanOrEqual(read.end);
      expect(begin).toBe(covered.get(u) ?? u.stored.begin);
      covered.set(u, end);
    }
  }
  for (const u of uploads) if (u.stored.end > u.stored.begin) expect(covered.get(u)).toBe(u.stored.end);
  expect(reads.length).toBeLessThan(uploads.length + 20);
});

test.each([16, 1024, 1 << 20])("data arrives whole in chunks of %i bytes", async (chunk) => {
  const sink = new Sink();
  const tensors = await stored(data);
  const uploads: Upload[] = [];
  for (const [name, s] of tensors) {
    const dtype = name === "ids" ? "i32" : "f32";
    uploads.push({ stored: s, target: sink.tensor(s.shape, dtype), dtype, firstElement: 0 });
  }
  // the same tensor for a second time, behind 4 other elements
  const big = tensors.get("big") as StoredTensor;
  uploads.push({ stored: big, target: sink.tensor([2335], "f32"), dtype: "f32", firstElement: 4 });
  const progress: number[] = [];
  await upload(sink, uploads, { onProgress: (done) => progress.push(done) }, chunk);
  for (const { target, stored: s, firstElement } of uploads) {
    const bytes = (sink.memory.get(target) as Uint8Array).buffer as ArrayBuffer;
    if (s.name === "ids") expect([...new Int32Array(bytes, 0, 5)]).toEqual([1, -2, 3, -4, 5]);
    else {
      const expected = data[s.name as "big"].data;
      expect(new Float32Array(bytes, firstElement * 4, expected.length)).toEqual(expected);
    }
  }
  expect(progress).toEqual([...progress].sort((a, b) => a - b));
  expect(progress.at(-1)).toBe(2 * 2331 * 4 + 4 * 4 + 40);
});

test("what is quantised goes to the device by whole rows, as it is stored", async () => {
  const sink = new Sink();
  const halves = Uint16Array.from({ length: 6 * 40 }, (_, i) => i);
  const tensors = await stored({
    f: { shape: [5, 48], data: random(240, 6) },
    h: { shape: [6, 40], data: halves },
  });
  const got: { label: string; spec: TensorSpec; row: number; bytes: number[] }[] = [];
  sink.quantize = async (target, { spec, data, row }) => {
    const bytes = [...new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
    got.push({ label: target.label, spec, row, bytes });
  };
  const targets = { f: sink.tensor([9, 48], "q4_0"), h: sink.tensor([6, 40], "q8_0") };
  const uploads = Object.entries(targets).map(([name, target]): Upload => {
    const firstElement = name === "f" ? 4 * 48 : 0; // below four rows of another tensor
    return { stored: tensors.get(name) as StoredTensor, target, dtype: target.dtype, firstElement };
  });
  // a chunk holds two rows of f and four of h; rows longer than a chunk go one by one
  await upload(sink, uploads, {}, 400);
  expect(got.map(({ row, spec }) => [spec.dtype, ...spec.shape, row])).toEqual([
    ["f32", 2, 48, 4],
    ["f32", 2, 48, 6],
    ["f32", 1, 48, 8],
    ["f16", 5, 40, 0],
    ["f16", 1, 40, 5],
  ]);
  const sent = (dtype: DType) => got.filter(({ spec }) => spec.dtype === dtype).flatMap(({ bytes }) => bytes);
  expect(sent("f32")).toEqual([...new Uint8Array(random(240, 6).buffer)]);
  expect(sent("f16")).toEqual([...new Uint8Array(halves.buffer)]);
  got.length = 0;
  await upload(sink, uploads, {}, 16);
  expect(got.map(({ row }) => row)).toEqual([4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5]);
});

test("writes wait for the device before much is staged", async () => {
  const sink = new Sink();
  const halves = new Uint16Array(60 << 20);
  const tensors = await stored({ w: { shape: [60, 1 << 20], data: halves } });
  const w = tensors.get("w") as StoredTensor;
  const target = sink.tensor([1], "f32");
  sink.memory.delete(target); // only counted
  await upload(sink, [{ stored: w, target, dtype: "f32", firstElement: 0 }]);
  expect(sink.mostStaged).toBeLessThanOrEqual(96 * 2 ** 20);
});

test("a failed read, an overflow and an abort end it, and no read is left behind", async () => {
  const sink = new Sink();
  const tensors = await stored({ w: { shape: [1000], data: random(1000, 4).map((x) => x * 1e6) } });
  const w = tensors.get("w") as StoredTensor;
  const job = (s: StoredTensor, dtype: DType): Upload => {
    return { stored: s, target: sink.tensor([1000], dtype), dtype, firstElement: 0 };
  };
  await expect(upload(sink, [job(w, "f16")], {}, 64)).rejects.toThrow(
    /f: tensor "w": element \d+ does not fit f16; load as f32/,
  );

  let pending = 0;
  let reads = 0;
  const failing: ByteSource = {
    name: "failing",
    size: () => w.source.size(),
    read: async (offset, length, into) => {
      pending++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      pending--;
      if (++reads === 3) throw new Error("disk on fire");
      return w.source.read(offset, length, into);
    },
  };
  await expect(upload(sink, [job({ ...w, source: failing }, "f32")], {}, 64)).rejects.toThrow("disk on fire");
  expect(pending).toBe(0);

  const controller = new AbortController();
  const aborted = upload(
    sink,
    [job(w, "f32")],
    { signal: controller.signal, onProgress: (done) => done > 1000 && controller.abort() },
    64,
  );
  await expect(aborted).rejects.toBeInstanceOf(CancelledError);
});
