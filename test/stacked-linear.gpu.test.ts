import { Checkpoint, type LoadDType, MemoryFolder, StackedLinear } from "@mask-llava/models";
import { type Device, Random, type Tensor } from "@mask-llava/runtime";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";
import { relativeL2 } from "./support/fixtures.ts";
import { type QuantizedWeight, writeWithPlanes } from "./support/planes.ts";

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

const inputs = 70;
const layers = [
  ["q", 22],
  ["k", 6],
  ["v", 6],
] as const;
const outputs = 34;
const random = new Random(4);
const values = (count: number) => Float32Array.from({ length: count }, () => random.normal());

type Stored = QuantizedWeight["dtype"] | "f32";

/** Layers whose weights are stored in these types. */
function files(types: readonly [Stored, Stored, Stored]): MemoryFolder {
  const weights = layers.flatMap(([name, rows], i) => {
    const type = types[i] as Stored;
    const floats = { shape: [rows, inputs], data: values(rows * inputs) };
    return [
      [`${name}.weight`, type === "f32" ? floats : { ...floats, dtype: type }],
      [`${name}.bias`, { shape: [rows], data: values(rows) }],
    ] as const;
  });
  return new MemoryFolder({ "model.safetensors": writeWithPlanes(Object.fromEntries(weights)) });
}

test.each<[LoadDType, readonly [Stored, Stored, Stored], string[]]>([
  ["f32", ["f32", "f32", "f32"], ["f32[34, 70]"]],
  ["f16", ["f32", "f32", "f32"], ["f16[34, 70]"]],
  ["q8", ["f32", "f32", "f32"], ["q8_0[34, 70]"]],
  ["q4", ["f32", "f32", "f32"], ["q4_0[34, 70]"]],
  ["stored", ["q4_1", "q4_1", "q4_1"], ["q4_1[34, 70]"]],
  ["q8", ["q8_0", "f32", "q8_0"], ["q8_0[34, 70]"]],
  // each keeps the numbers that it was stored with
  ["q8", ["q4_0", "q4_0", "f32"], ["q4_0[28, 70]", "q8_0[6, 70]"]],
  ["stored", ["q4_0", "q8_0", "f32"], ["q4_0[22, 70]", "q8_0[6, 70]", "f16[6, 70]"]],
])("layers as one, %s of %s: %s", async (dtype, types, expected) => {
  using checkpoint = await Checkpoint.open(device, files(types), { dtype });
  const stacked = StackedLinear.load(checkpoint.weights, inputs, layers, { bias: true, role: "linear" });
  await checkpoint.load();
  expect(stacked.weights.map((w) => `${w.dtype}[${w.shape.join(", ")}]`)).toEqual(expected);

  for (const rows of [1, 19]) {
    const data = values(rows * inputs);
    using x = device.tensor({ shape: [1, rows, inputs], dtype: "f32" }, data);
    const cmd = device.record("stacked");
    const y = stacked.forward(cmd, x); // [1, rows, 34]
    expect(y.shape).toEqual([1, rows, outputs]);
    using program = await cmd.finish({ outputs: [y] });
    const [actual] = await program.runAndRead([y]);
    expect(relativeL2(actual ?? [], await product(stacked, data, rows))).toBeLessThan(1e-6);
  }
});

/** [rows, inputs] -> [rows, outputs], by loops over what the GPU holds. */
async function product(stacked: StackedLinear, x: Float32Array, rows: number): Promise<Float32Array> {
  const read = async (tensors: (Tensor | undefined)[]) => {
    const parts = await Promise.all(tensors.map(async (t) => (t ? [...(await device.read(t))] : [])));
    return parts.flat();
  };
  const weight = await read(stacked.products.map((p) => p.weight));
  const bias = await read(stacked.products.map((p) => p.bias));
  return Float32Array.from({ length: rows * outputs }, (_, i) => {
    const [row, n] = [Math.floor(i / outputs), i % outputs];
    let sum = bias[n] as number;
    for (let k = 0; k < inputs; k++)
      sum += (x[row * inputs + k] as number) * (weight[n * inputs + k] as number);
    return sum;
  });
}
