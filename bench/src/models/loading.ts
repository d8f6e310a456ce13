import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Checkpoint } from "@mask-llava/models";
import { FileFolder, saveSafetensors } from "@mask-llava/models/node";
import type { Device } from "@mask-llava/runtime";

/** How fast a checkpoint file gets onto the GPU, beside what it cannot be faster than. Bytes per second. */
export interface LoadingSpeed {
  readonly bytes: number;
  /** Opening the file, checking its header, reading and uploading its tensors. */
  readonly load: number;
  /** Reading the file, which was just written and may still be in the system's memory. */
  readonly read: number;
  /** `writeBuffer` of as many bytes. */
  readonly write: number;
}

/** Tensors that a file of weights is made of. */
const tensors = 8;
const columns = 1024;

/** Writes a safetensors file of about `bytes` of f16, loads it, and takes the better of two runs of everything. */
export async function measureLoading(device: Device, bytes: number): Promise<LoadingSpeed> {
  const rows = Math.max(1, Math.round(bytes / tensors / columns / 2));
  const folder = await mkdtemp(join(tmpdir(), "mask-llava-loading-"));
  try {
    const file = join(folder, "model.safetensors");
    const names = Array.from({ length: tensors }, (_, i) => `layers.${i}.weight`);
    const data = (i: number) =>
      Uint16Array.from({ length: rows * columns }, (_, at) => 0x2c00 | ((at * 7919 + i) & 0x3ff));
    await saveSafetensors(
      file,
      Object.fromEntries(names.map((name, i) => [name, { shape: [rows, columns], data: data(i) }])),
    );
    const total = tensors * rows * columns * 2;
    const rate = async (work: () => Promise<void>): Promise<number> => {
      const times: number[] = [];
      for (let i = 0; i < 2; i++) {
        const begun = performance.now();
        await work();
        times.push(performance.now() - begun);
      }
      return total / (Math.min(...times) / 1e3);
    };
    const load = await rate(async () => {
      using checkpoint = await Checkpoint.open(device, await FileFolder.open(folder), { dtype: "f16" });
      for (const name of names) checkpoint.weights.take(name, [rows, columns]);
      await checkpoint.load();
      await device.idle();
    });
    const read = await rate(async () => {
      await readFile(file);
    });
    const values = data(0);
    using target = device.tensor({ shape: [rows, columns], dtype: "f16", label: "target" });
    const write = await rate(async () => {
      for (let i = 0; i < tensors; i++) device.write(target, values);
      await device.idle();
    });
    return { bytes: total, load, read, write };
  } finally {
    await rm(folder, { recursive: true });
  }
}
