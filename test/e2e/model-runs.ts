import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type LoadedTensor, loadTensors, type Outcome, temporaryFolder, tensor } from "./support.ts";

/** f32 against f32 in another order of sums; the bound that the project promises where nothing is resized. */
export const bound = 3e-4;

export type Tensors = Readonly<Record<string, LoadedTensor>>;

/** Runs a model command with `--json` and `--save-tensors`. */
export async function runModel<T>(
  cli: (...argv: string[]) => Promise<Outcome>,
  ...argv: string[]
): Promise<{ output: T; tensors: Tensors; stderr: string }> {
  const file = join(temporaryFolder(), "out.safetensors");
  const { code, stdout, stderr } = await cli(...argv, "--json", "--save-tensors", file);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  expect(stdout).toMatch(/^\{.*\}\n$/);
  return { output: JSON.parse(stdout) as T, tensors: await loadTensors(file), stderr };
}

/** ‖a - b‖ / ‖b‖ of values, whatever their shapes; infinite for other lengths or a NaN. */
export function relativeValues(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  let [difference, size] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    difference += ((a[i] as number) - (b[i] as number)) ** 2;
    size += (b[i] as number) ** 2;
  }
  const error = Math.sqrt(difference / size);
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}

/** Each tensor has the shape that is given, and values near the reference's. */
export function expectNear(
  actual: Tensors,
  expected: Tensors,
  names: Readonly<Record<string, readonly [theirs: string, shape: readonly number[], most?: number]>>,
): void {
  for (const [ours, [theirs, shape, most = bound]] of Object.entries(names)) {
    const found = tensor(actual, ours);
    expect({ name: ours, shape: found.shape }).toEqual({ name: ours, shape: [...shape] });
    expect(relativeValues(found.values, tensor(expected, theirs).values), ours).toBeLessThanOrEqual(most);
  }
}

/** Width and height of a PNG file, from its header. */
export function pngSize(file: string): { width: number; height: number } {
  const bytes = readFileSync(file);
  expect(bytes.toString("latin1", 0, 8)).toBe("\x89PNG\r\n\x1a\n");
  return { width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
}
