import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MemorySource, readSafetensors } from "@mask-llava/models";
import type { Device } from "@mask-llava/runtime";
import { run } from "mask-llava";
import { afterAll, beforeAll, expect, onTestFinished } from "vitest";
import { openTestDevice, testAdapter } from "../support/device.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A path below `test/fixtures`. */
export function fixture(...parts: string[]): string {
  return join(root, "test", "fixtures", ...parts);
}

/** Flags that put the work on the adapter under test. */
export const onAdapter: readonly string[] = ["--adapter", testAdapter];

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in this process, on a device of its own. */
export async function cli(...argv: string[]): Promise<Outcome> {
  return cliOn(undefined, ...argv);
}

/** Runs a command line in this process on a device that is there already: kernels are compiled once. */
export async function cliOn(device: Device | undefined, ...argv: string[]): Promise<Outcome> {
  let [stdout, stderr] = ["", ""];
  const code = await run(argv, {
    stdout: { write: (text) => (stdout += text) },
    stderr: { write: (text) => (stderr += text) },
    signal: new AbortController().signal,
    ...(device && { device }),
  });
  return { code, stdout, stderr };
}

/**
 * For all of a file's tests: a way to run command lines on one device, on which nothing may be left when they have run.
 */
export function sharedDeviceCli(): (...argv: string[]) => Promise<Outcome> {
  let device: Device | undefined;
  beforeAll(async () => {
    device = await openTestDevice();
  });
  afterAll(() => {
    expect(device?.buffers.live()).toEqual([]);
    device?.dispose();
  });
  return (...argv) => cliOn(device, ...argv);
}

/** A folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "mask-llava-e2e-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A folder for all of a file's tests, which is gone after them. */
export function keptFolder(): () => string {
  let folder: string | undefined;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "mask-llava-e2e-"));
  });
  afterAll(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });
  return () => {
    if (folder === undefined) throw new Error("the folder is made before the first test");
    return folder;
  };
}

/** All files below a folder. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).toSorted();
}

export interface LoadedTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly values: Float32Array | Int32Array;
}

/** The F32 and I32 tensors of a safetensors file. */
export async function loadTensors(file: string): Promise<Record<string, LoadedTensor>> {
  const bytes = readFileSync(file);
  const { tensors } = await readSafetensors(new MemorySource(file, bytes));
  return Object.fromEntries(
    [...tensors.values()].flatMap(({ name, dtype, shape, begin, end }) => {
      if (dtype !== "F32" && dtype !== "I32") return [];
      const data = bytes.buffer.slice(bytes.byteOffset + begin, bytes.byteOffset + end);
      const values = dtype === "F32" ? new Float32Array(data) : new Int32Array(data);
      return [[name, { dtype, shape, values }]];
    }),
  );
}

/** A tensor that must be there. */
export function tensor(tensors: Readonly<Record<string, LoadedTensor>>, name: string): LoadedTensor {
  const found = tensors[name];
  if (!found) throw new Error(`there is no tensor ${name} among ${Object.keys(tensors).join(", ")}`);
  return found;
}

/** ‖a - b‖ / ‖b‖; infinite where the shapes differ. */
export function relativeError(a: LoadedTensor, b: LoadedTensor): number {
  if (a.shape.join() !== b.shape.join()) return Number.POSITIVE_INFINITY;
  let [difference, size] = [0, 0];
  for (const [i, x] of a.values.entries()) {
    const y = b.values[i] ?? Number.NaN;
    difference += (x - y) ** 2;
    size += y ** 2;
  }
  return Math.sqrt(difference / size);
}

/** expect.json of a fixture. */
export function expectation<T>(name: string): T {
  return JSON.parse(readFileSync(fixture(name, "expect.json"), "utf8")) as T;
}
