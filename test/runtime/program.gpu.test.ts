import { add, type Device, linear, mul, Profiler, Random, type Tensor } from "@mask-llava/runtime";
import { compare, upload } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

const random = new Random(7);

function vector(values: number[]): Tensor {
  return device.tensor({ shape: [values.length], dtype: "f32", label: "v" }, new Float32Array(values));
}

test("a program replays with what its inputs hold at each run", async () => {
  using x = vector([1, 2, 3]);
  using y = vector([10, 20, 30]);
  const cmd = device.record("replay");
  const sum = add(cmd, x, y);
  const result = mul(cmd, sum, sum);
  using program = await cmd.finish({ outputs: [result] });
  program.run();
  expect(await program.read(result)).toEqual(new Float32Array([121, 484, 1089]));
  device.write(x, new Float32Array([0, 0, -30]));
  const [again] = await program.runAndRead([result]);
  expect(again).toEqual(new Float32Array([100, 400, 0]));
});

test("replaying creates no buffer, bind group or pipeline", async () => {
  using x = upload(device, random.normals([4, 8]));
  using w = upload(device, random.normals([8, 8]));
  const cmd = device.record("steady");
  let h: Tensor = x;
  for (let i = 0; i < 3; i++) h = linear(cmd, h, w);
  using program = await cmd.finish({ outputs: [h] });
  await program.runAndRead([h]);
  const created: string[] = [];
  const gpu = device.gpuDevice;
  const names = [
    "createBuffer",
    "createBindGroup",
    "createComputePipeline",
    "createComputePipelineAsync",
    "createShaderModule",
  ] as const;
  const originals = names.map((name) => gpu[name]);
  try {
    for (const [i, name] of names.entries()) {
      Object.defineProperty(gpu, name, {
        configurable: true,
        value: (...args: unknown[]) => {
          created.push(name);
          return Reflect.apply(originals[i] as (...a: unknown[]) => unknown, gpu, args);
        },
      });
    }
    for (let i = 0; i < 5; i++) await program.runAndRead([h]);
    expect(created).toEqual([]);
    device.tensor({ shape: [77777], dtype: "f32" }).dispose(); // the watch does see
    expect(created).toEqual(["createBuffer"]);
  } finally {
    for (const name of names) Reflect.deleteProperty(gpu, name);
  }
});

test("intermediates share memory, and keepAll gives each its own for a dump", async () => {
  using x = upload(device, random.normals([64, 64]));
  const build = async (keepAll: boolean) => {
    const cmd = device.record("chain", { keepAll });
    let h: Tensor = x;
    for (let i = 0; i < 8; i++) h = add(cmd, h, x);
    return { program: await cmd.finish({ outputs: [h] }), last: h };
  };
  const shared = await build(false);
  const kept = await build(true);
  try {
    expect(shared.program.bytes).toBeLessThan(kept.program.bytes / 2);
    kept.program.run();
    const dump = await kept.program.dump();
    expect(dump.length).toBe(8);
    const host = await device.read(x);
    dump.forEach(({ data }, i) => {
      const expected = Float64Array.from(host, (v) => v * (i + 2));
      const reference = { shape: [64, 64], dtype: "f32" as const, data: expected };
      expect(compare(data, reference, { abs: 1e-6, rel: 1e-6 }).message).toContain("within");
    });
    const [last] = await shared.program.runAndRead([shared.last]);
    expect(last).toEqual(dump[7]?.data);
  } finally {
    shared.program.dispose();
    kept.program.dispose();
  }
});

test("an output that was taken outlives its program, which then does not run", async () => {
  using x = vector([1, 2]);
  const cmd = device.record("taken");
  const sum = add(cmd, x, x);
  const program = await cmd.finish({ outputs: [sum] });
  program.run();
  using mine = program.take(sum);
  expect(() => program.run()).toThrow(/taken/);
  program.dispose();
  expect(await device.read(mine)).toEqual(new Float32Array([2, 4]));
});

test("a profile has a time for each op", async ({ skip }) => {
  if (!device.caps.timestamps) skip("the adapter has no timestamps");
  using x = upload(device, random.normals([32, 32]));
  const cmd = device.record("profiled");
  const y = linear(cmd, add(cmd, x, x), x);
  using program = await cmd.finish({ outputs: [y] });
  const profile = await program.profile();
  expect(profile.map((p) => p.op)).toEqual(["binary", "matmul"]);
  expect(profile[1]?.cost.flops).toBe(2 * 32 ** 3);
  for (const p of profile) expect(p.milliseconds).toBeGreaterThanOrEqual(0);
  expect(String(program)).toContain("matmul/");
});

test("mistakes are typed errors that name the op and the shapes", async () => {
  using x = upload(device, random.normals([2, 3]), "x");
  using y = upload(device, random.normals([2, 4]), "y");
  const cmd = device.record("mistakes");
  expect(() => add(cmd, x, y)).toThrow(
    expect.objectContaining({ code: "SHAPE", message: expect.stringContaining("[2, 4]") }),
  );
  expect(() => linear(cmd, x, y)).toThrow(/inner sizes 3 and 4 differ/);
  const planned = add(cmd, x, x);
  expect(() => planned.buffer()).toThrow(/not built/);
  const other = device.record("other");
  expect(() => add(other, planned, planned)).toThrow(expect.objectContaining({ code: "OWNER" }));
  const program = await cmd.finish({ outputs: [planned] });
  expect(() => add(cmd, x, x)).toThrow(expect.objectContaining({ code: "FINISHED" }));
  expect(() => planned.dispose()).toThrow(/owned by a program/);
  program.dispose();
  expect(() => program.run()).toThrow(expect.objectContaining({ code: "DISPOSED" }));
  await expect(device.read(planned)).rejects.toThrow(/released/);
});

test("a program whose input was released does not run on whatever took its memory", async () => {
  const x = vector([1, 2]);
  const cmd = device.record("released");
  const y = add(cmd, x, x);
  using program = await cmd.finish({ outputs: [y] });
  x.dispose();
  expect(() => program.run()).toThrow(expect.objectContaining({ code: "DISPOSED" }));
});

test("a profiler counts the ops of every run, and changes no result", async () => {
  if (!device.caps.timestamps) {
    expect(() => new Profiler(device)).toThrow("timestamps");
    return;
  }
  using x = vector([1, 2, 3]);
  const cmd = device.record("profiled");
  const result = add(cmd, mul(cmd, x, x), x);
  using program = await cmd.finish({ outputs: [result] });
  const profiler = new Profiler(device);
  device.profiler = profiler;
  try {
    program.run();
    const [read] = await program.runAndRead([result]);
    expect(read).toEqual(new Float32Array([2, 6, 12]));
  } finally {
    device.profiler = undefined;
  }
  program.run();
  const report = await profiler.report();
  expect(report.map(({ program, op, runs }) => ({ program, op, runs }))).toEqual([
    { program: "profiled", op: "binary", runs: 4 },
  ]);
  for (const { milliseconds } of report) expect(milliseconds).toBeGreaterThanOrEqual(0);
});
