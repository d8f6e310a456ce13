import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type Device,
  dispatch,
  grid,
  type InputSpecs,
  kernel,
  linear,
  matmulOp,
  type Op,
  read,
  type TensorSpec,
  Tuning,
  tune,
  tuningKey,
  type Variant,
  write,
} from "@mask-llava/runtime";
import { compare, Random, upload } from "@mask-llava/runtime/conformance";
import { readTuning, tuningFile, writeTuning } from "@mask-llava/runtime/node";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "mask-llava-tuning-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** y = x Wᵀ for `rows` rows, and the variant that computed it. */
async function product(rows: number): Promise<{ variant: string; values: Float32Array }> {
  const random = new Random(3);
  const x = upload(device, random.normals([rows, 48]));
  const weight = upload(device, random.normals([40, 48]));
  const cmd = device.record("product");
  const y = linear(cmd, x, weight);
  using program = await cmd.finish({ outputs: [y] });
  const [values] = (await program.runAndRead([y])) as [Float32Array];
  x.dispose();
  weight.dispose();
  return { variant: program.steps[0]?.variant ?? "", values };
}

test("what is tuned is chosen from then on, by every device that reads the file, and changes nothing but rounding", async () => {
  device.tuning = new Tuning();
  const calls = device.tuning.collect();
  const before = await product(19);
  await product(30);
  expect([...calls.values()].map(({ op }) => op.name)).toEqual(["matmul"]); // 19 and 30 rows are alike
  const [tuned] = await tune(device, calls);
  const times = tuned?.milliseconds ?? {};
  expect(Object.keys(times).length).toBeGreaterThan(1);
  expect(tuned?.usual).toBe(before.variant);
  expect(times[tuned?.chosen ?? ""]).toBeLessThanOrEqual(times[before.variant] ?? 0);

  const other = Object.keys(times).find((name) => name !== before.variant) ?? "";
  writeTuning(device.info, new Map([[tuned?.key ?? "", other]]), folder);
  device.tuning = readTuning(device.info, folder);
  const after = await product(25);
  expect(after.variant).toBe(other);
  expect((await product(70)).variant).not.toBe("");
  const same = await product(19);
  const expected = { shape: [19, 40], dtype: "f32", data: Float64Array.from(before.values) } as const;
  const { ok, message } = compare(same.values, expected, { abs: 2e-5, rel: 1e-5 });
  expect(ok, message).toBe(true);
  device.tuning = new Tuning();
});

interface Inputs {
  readonly x: TensorSpec;
  readonly sum: TensorSpec;
}

/** y = f(x), and sum += x in place, by WGSL that is given for both. */
function fakeVariant(name: string, y: string, sum = "sum[i] + x[i]"): Variant<Inputs, object> {
  const compiled = kernel({
    name,
    bindings: { x: read("f32"), sum: write("f32"), y: write("f32") },
    uniforms: { count: "u32" },
    code: `
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) gid: vec3u) {
  let i = gid.x;
  if (i >= u.count) { return; }
  sum[i] = ${sum};
  ${y};
}`,
  });
  return {
    name,
    supports: () => true,
    build: ({ inputs: { x, sum }, outputs: [y] }) => [
      dispatch(compiled, { x, sum, y }, { count: x.size }, grid(x.size, 64)),
    ],
  };
}

test("a variant that computes something else, or does not compile, is reported, and neither timed nor chosen", async () => {
  const fake: Op<Inputs, object> = {
    name: "fake",
    infer: ({ x }) => [{ shape: x.shape, dtype: "f32" }],
    mutates: ["sum"],
    variants: [
      fakeVariant("usual", "y[i] = 3.0 * x[i]"),
      fakeVariant("same", "y[i] = x[i] + x[i] + x[i]"),
      fakeVariant("a little off", "y[i] = 3.003 * x[i]"),
      fakeVariant("not written", "if (i < 500u) { y[i] = 3.0 * x[i]; }"),
      fakeVariant("wrong in place", "y[i] = 3.0 * x[i]", "x[i]"),
      fakeVariant("not WGSL", "y[i] = nothing"),
    ],
    reference: () => [],
    cost: () => ({ flops: 0, bytes: 0 }),
  };
  const spec: TensorSpec = { shape: [1000], dtype: "f32" };
  const op = fake as unknown as Op<unknown, unknown>;
  const calls = new Map([["key", { op, inputs: { x: spec, sum: spec }, params: {} }]]);
  const [tuned] = await tune(device, calls);
  expect(Object.keys(tuned?.milliseconds ?? {})).toEqual(["usual", "same"]);
  expect(["usual", "same"]).toContain(tuned?.chosen);
  expect(tuned?.refused).toEqual({
    "a little off": expect.stringContaining("element"),
    "not written": expect.stringMatching(/element 500 of .* is NaN instead of/),
    "wrong in place": expect.stringContaining("sum f32[1000]"),
    "not WGSL": expect.stringContaining("does not compile"),
  });
});

test("a choice that does not run for a call, or is no variant any more, is passed over", async () => {
  const usual = (await product(19)).variant;
  const inputs: InputSpecs = { a: { shape: [19, 48], dtype: "f32" }, b: { shape: [40, 48], dtype: "f32" } };
  const params = { transposeB: true, activation: "none", scale: 1, eps: 0 };
  const key = tuningKey({ op: matmulOp as never, inputs, params });
  for (const name of ["no such kernel", "quantized-matvec"]) {
    device.tuning = new Tuning([[key, name]]);
    expect((await product(19)).variant).toBe(usual);
  }
  device.tuning = new Tuning();
});

test("a file that is absent, broken or of another version holds nothing", () => {
  expect(readTuning(device.info, folder).choices.size).toBe(0);
  const path = writeTuning(device.info, new Map([["a", "b"]]), folder);
  expect(path).toBe(tuningFile(device.info, folder));
  expect([...readTuning(device.info, folder).choices]).toEqual([["a", "b"]]);
  for (const text of ["{", "[]", '{"version":0,"choices":{"a":"b"}}', '{"version":2,"choices":null}']) {
    writeFileSync(path, text);
    expect(readTuning(device.info, folder).choices.size).toBe(0);
  }
});
