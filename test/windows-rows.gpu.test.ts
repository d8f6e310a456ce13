import type { Device } from "@mask-llava/runtime";
import { checkVariant, type OpCase, Random, suites } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";

/** Small enough that every tensor below takes several bindings; windows start at multiples of up to 256 bytes. */
const limit = 32768;

let device: Device;
beforeAll(async () => {
  device = await openTestDevice({ limits: { maxStorageBufferBindingSize: limit } });
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

type Case = Pick<OpCase<unknown, unknown>, "params"> & {
  readonly op: string;
  readonly inputs: (r: Random) => unknown;
};

const rows = [211, 68];
const flat = [1, 13001];

/** One case of each op that walks its tensors in windows, larger than a binding in every tensor that may be. */
const cases: Case[] = [
  {
    op: "layer-norm",
    params: { eps: 1e-5 },
    inputs: (r) => ({ x: r.normals(rows), weight: r.normals([68]), bias: r.normals([68]) }),
  },
  { op: "rms-norm", params: { eps: 1e-5 }, inputs: (r) => ({ x: r.normals(rows), weight: r.normals([68]) }) },
  {
    op: "group-norm",
    params: { eps: 1e-5, groups: 3 },
    inputs: (r) => ({ x: r.normals([9, 6, 200]), weight: r.normals([6]), bias: r.normals([6]) }),
  },
  {
    op: "layer-norm2d",
    params: { eps: 1e-5 },
    inputs: (r) => ({ x: r.normals([40, 6, 70]), weight: r.normals([6]), bias: r.normals([6]) }),
  },
  { op: "unary", params: { kind: "relu", a: 0, b: 0 }, inputs: (r) => ({ x: r.normals(flat) }) },
  { op: "silu-mul", params: {}, inputs: (r) => ({ gate: r.normals(flat), up: r.normals(flat) }) },
  { op: "cast", params: { to: "f16" }, inputs: (r) => ({ x: r.normals(flat) }) },
  { op: "cast", params: { to: "f32" }, inputs: (r) => ({ x: r.normals(flat, { dtype: "f16" }) }) },
  {
    op: "reduce",
    params: { kind: "max", axes: [1], keepDims: false },
    inputs: (r) => ({ x: r.normals(rows) }),
  },
  { op: "argmax", params: {}, inputs: (r) => ({ x: r.normals(rows) }) },
  { op: "top-k", params: { k: 40 }, inputs: (r) => ({ x: r.normals(rows) }) },
  { op: "permute", params: { axes: [1, 0] }, inputs: (r) => ({ x: r.normals([111, 83]) }) },
  { op: "permute", params: { axes: [0, 2, 1, 3] }, inputs: (r) => ({ x: r.normals([4, 17, 13, 12]) }) },
  { op: "slice", params: { starts: [5, 3], ends: [200, 61] }, inputs: (r) => ({ x: r.normals(rows) }) },
  {
    op: "concat",
    params: { axis: 1 },
    inputs: (r) => ({ x0: r.normals([101, 44]), x1: r.normals([101, 3]), x2: r.normals([101, 60]) }),
  },
  {
    op: "pad",
    params: {
      padding: [
        [1, 2],
        [0, 3],
      ],
      value: 2.5,
    },
    inputs: (r) => ({ x: r.normals([140, 61]) }),
  },
  {
    op: "gather-rows",
    params: {},
    inputs: (r) => ({ x: r.normals(rows), indices: r.integers([33], 0, 211) }),
  },
];

test.each(cases.map((c) => [c.op, JSON.stringify(c.params), c] as const))("%s %s", async (name, _, c) => {
  const suite = suites.find(({ op }) => op.name === name);
  if (!suite) throw new Error(`no op ${name}`);
  // rounding as in the ops' own cases; copies and choices are exact there, and windows change no arithmetic
  const testCase = { ...c, name: "windows", tolerance: { abs: 5e-6, rel: 5e-6 } } as OpCase<unknown, unknown>;
  const inputs = testCase.inputs(new Random(2));
  const variants = suite.op.variants.filter((v) => v.supports(inputs, c.params, device.caps));
  expect(variants).not.toEqual([]);
  for (const variant of variants) {
    const result = await checkVariant(device, suite.op, testCase, variant.name, new Random(2));
    expect(result.ok, `${variant.name}: ${result.message}`).toBe(true);
  }
});
