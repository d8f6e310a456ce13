import {
  add,
  kernel,
  linear,
  OutOfMemoryError,
  Random,
  read,
  type Tensor,
  wgsl,
  write,
} from "@mask-llava/runtime";
import { upload } from "@mask-llava/runtime/conformance";
import { expect, test } from "vitest";
import { openDeviceForTest } from "../support/device.ts";

const random = new Random(11);

test("the budget is checked before anything is allocated, with the sizes in the message", async () => {
  const device = await openDeviceForTest({ memoryBudget: 2 ** 20 });
  using half = device.tensor({ shape: [128, 1024], dtype: "f32", label: "half" });
  const error = catching(() => device.tensor({ shape: [256, 1024], dtype: "f32", label: "encoder.weight" }));
  expect(error).toBeInstanceOf(OutOfMemoryError);
  expect(error).toMatchObject({ code: "OUT_OF_MEMORY", requested: 2 ** 20, live: 2 ** 19, budget: 2 ** 20 });
  expect(error.message).toMatch(
    /encoder\.weight needs 1\.0 MiB, 512\.0 KiB are in use, the budget is 1\.0 MiB/,
  );
  expect(device.memory().live).toBe(half.storage.bytes);
});

test("a program over the budget is refused whole and leaks nothing", async () => {
  const device = await openDeviceForTest({ memoryBudget: 2 ** 20 });
  using x = upload(device, random.normals([128, 512]));
  const cmd = device.record("too large");
  let h: Tensor = x;
  for (let i = 0; i < 4; i++) h = cmd.keep(add(cmd, h, x));
  await expect(cmd.finish({ outputs: [h] })).rejects.toThrow(/program too large/);
  expect(device.buffers.live().length).toBe(1);
});

test("a program is refused for what its buffers take, which is more than is in them", async () => {
  // 320 bytes take 512: those of three intermediates and of x would fit
  const device = await openDeviceForTest({ memoryBudget: 4 * 320 + 512 });
  using x = upload(device, random.normals([80]));
  const cmd = device.record("rounded up");
  let h: Tensor = x;
  for (let i = 0; i < 3; i++) h = cmd.keep(add(cmd, h, x));
  await expect(cmd.finish({ outputs: [h] })).rejects.toThrow(/program rounded up \(\d intermediates\)/);
  expect(device.buffers.live().length).toBe(1);
});

test("cached buffers make room instead of failing", async () => {
  const device = await openDeviceForTest({ memoryBudget: 2 ** 20 });
  for (let i = 1; i < 40; i++) device.tensor({ shape: [i * 1000], dtype: "f32" }).dispose();
  using large = device.tensor({ shape: [2 ** 18], dtype: "f32" });
  expect(large.storage.bytes).toBe(2 ** 20);
});

test("a lost device is a typed error on what is in flight and on everything later", async () => {
  const device = await openDeviceForTest();
  const x = upload(device, random.normals([64, 64]));
  const cmd = device.record("lost");
  const y = linear(cmd, x, x);
  const program = await cmd.finish({ outputs: [y] });
  const inFlight = program.runAndRead([y]);
  device.gpuDevice.destroy();
  await expect(inFlight).rejects.toMatchObject({ code: "DEVICE_LOST" });
  expect(() => program.run()).toThrow(expect.objectContaining({ code: "DEVICE_LOST" }));
  expect(() => device.write(x, new Float32Array(4))).toThrow(
    expect.objectContaining({ code: "DEVICE_LOST" }),
  );
  expect(() => device.tensor({ shape: [1], dtype: "f32" })).toThrow(
    expect.objectContaining({ code: "DEVICE_LOST" }),
  );
  await expect(device.idle()).rejects.toMatchObject({ code: "DEVICE_LOST" });
  program.dispose(); // releasing on a lost device is no error
});

test("a kernel that does not compile shows its line, and is not cached", async () => {
  const device = await openDeviceForTest();
  const broken = kernel({
    name: "broken",
    bindings: { x: read("f32"), y: write("f32") },
    uniforms: {},
    code: wgsl`
@compute @workgroup_size(1) fn main() {
  y[0] = x[0] + undeclared;
}`,
  });
  await expect(device.pipelines.get(broken)).rejects.toThrow(/broken does not compile:[\s\S]*undeclared/);
  expect(device.pipelines.size).toBe(0);
  await device.idle(); // the device itself is well
});

test("pipelines are shared by source, and concurrent requests compile once", async () => {
  const device = await openDeviceForTest();
  const make = () =>
    kernel({
      name: "same",
      bindings: { y: write("f32") },
      uniforms: { n: "u32" },
      code: wgsl`@compute @workgroup_size(1) fn main() { y[0] = f32(u.n); }`,
    });
  const [a, b] = await Promise.all([device.pipelines.get(make()), device.pipelines.get(make())]);
  expect(a.pipeline).toBe(b.pipeline);
  expect(device.pipelines.size).toBe(1);
});

test("tensors of one device are refused by another", async () => {
  const [one, two] = [await openDeviceForTest(), await openDeviceForTest()];
  const x = upload(one, random.normals([4]));
  const cmd = two.record("foreign");
  expect(() => add(cmd, x, x)).toThrow(expect.objectContaining({ code: "OWNER" }));
});

test("f16 tensors and odd sizes survive the way to the GPU and back", async () => {
  const device = await openDeviceForTest();
  for (const n of [1, 2, 3, 5, 17, 1001]) {
    for (const dtype of ["f16", "f32"] as const) {
      const host = random.normals([n], { dtype });
      using tensor = upload(device, host);
      expect(await device.read(tensor)).toEqual(Float32Array.from(host.data));
    }
  }
});

function catching(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error("nothing was thrown");
}
