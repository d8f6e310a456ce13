import type { Device } from "@mask-llava/runtime";
import {
  dequantizeOp,
  embeddingOp,
  KernelError,
  linear,
  matmulOp,
  randomUniformOp,
} from "@mask-llava/runtime";
import { checkVariant, type OpCase, Random, type suites, upload } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";

/** Small enough that the tensors below take several bindings each; windows start at multiples of up to 256 bytes. */
const limit = 32768;
/** Products of K terms of size 1/sqrt(K): f32 rounding, as in the op's own cases. */
const tolerance = { abs: 4e-6, rel: 4e-6 };

let device: Device;
beforeAll(async () => {
  device = await openTestDevice({ limits: { maxStorageBufferBindingSize: limit } });
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

type AnyOp = (typeof suites)[number]["op"];

/** Runs every variant of `op` that takes the case; returns the dispatches of each, which must have been right. */
async function dispatchesOfVariants<I, P>(op: unknown, testCase: OpCase<I, P>): Promise<Map<string, number>> {
  const { variants } = op as AnyOp;
  const inputs = testCase.inputs(new Random(3));
  const counts = new Map<string, number>();
  for (const { name, supports } of variants) {
    if (!supports(inputs, testCase.params, device.caps)) continue;
    const result = await checkVariant(
      device,
      op as AnyOp,
      testCase as OpCase<unknown, unknown>,
      name,
      new Random(3),
    );
    expect(result.ok, `${name}: ${result.message}`).toBe(true);
    const uploaded = Object.entries(
      inputs as Record<string, Parameters<typeof upload>[1] | undefined>,
    ).flatMap(([key, host]) => (host ? [[key, upload(device, host)] as const] : []));
    const cmd = device.record(name);
    cmd.call(op as AnyOp, Object.fromEntries(uploaded), testCase.params, { variant: name });
    using program = await cmd.finish();
    counts.set(name, program.dispatches);
    for (const [, tensor] of uploaded) tensor.dispose();
  }
  expect(counts.size).toBeGreaterThan(0);
  return counts;
}

describe(`bindings of at most ${limit} bytes`, () => {
  const scale = { scale: 0.125 };
  const fused = { transposeB: true, activation: "silu", scale: 1 } as const;

  test.each(["f32", "f16"] as const)("matmul: rows of A and of %s weights", async (dtype) => {
    const [m, n, k] = [200, 240, 66];
    const counts = await dispatchesOfVariants(matmulOp, {
      name: "windows",
      params: fused,
      tolerance,
      inputs: (r) => ({
        a: r.normals([m, k]),
        b: r.normals([n, k], { dtype, ...scale }),
        bias: r.normals([n]),
        residual: r.normals([m, n]),
      }),
    });
    for (const [name, count] of counts) expect(count, name).toBeGreaterThan(dtype === "f32" ? 8 : 4);
  });

  test.each(["f32", "f16"] as const)("matrix-vector product: rows of %s weights", async (dtype) => {
    const [n, k] = [1200, 264];
    const counts = await dispatchesOfVariants(matmulOp, {
      name: "windows",
      params: fused,
      tolerance,
      inputs: (r) => ({
        a: r.normals([1, k]),
        b: r.normals([n, k], { dtype, scale: 1 / 16 }),
        bias: r.normals([n]),
        residual: undefined,
      }),
    });
    expect([...counts.keys()].some((name) => name.startsWith("matvec"))).toBe(true);
    for (const [name, count] of counts) expect(count, name).toBeGreaterThan(dtype === "f32" ? 35 : 17);
  });

  test.each(["q8_0", "q4_0", "q4_1"] as const)(
    "matmul: rows of A and of %s weights, A quantised or not",
    async (dtype) => {
      // rows of 66 are padded first
      for (const [aDtype, m, k] of [
        ["f32", 140, 66],
        ["q8_0", 40, 1024],
        ["f32", 1, 250],
      ] as const) {
        const n = 624;
        const counts = await dispatchesOfVariants(matmulOp, {
          name: "windows",
          params: fused,
          tolerance,
          inputs: (r) => ({
            a: r.normals([m, k], { dtype: aDtype }),
            b: r.normals([n, k], { dtype, scale: 1 / Math.sqrt(k) }),
            bias: r.normals([n]),
            residual: r.normals([m, n]),
          }),
        });
        for (const [name, count] of counts) expect(count, name).toBeGreaterThan(1);
      }
    },
  );

  test.each(["q8_0", "q4_1"] as const)("dequantize and fill of %s", async (dtype) => {
    const counts = await dispatchesOfVariants(dequantizeOp, {
      name: "windows",
      params: {},
      tolerance: { abs: 0, rel: 0 },
      inputs: (r) => ({ x: r.normals([700, 96], { dtype }) }),
    });
    for (const [name, count] of counts) expect(count, name).toBeGreaterThan(7);
    await dispatchesOfVariants(randomUniformOp, {
      name: "windows",
      params: { range: 0.5, mean: 0, seed: 9 },
      tolerance: { abs: 0, rel: 0 },
      inputs: (r) => ({ target: r.normals([700, 96], { dtype }) }),
    });
  });

  test.each([true, false])("batched matmul: whole matrices, transposed %s", async (transposeB) => {
    const counts = await dispatchesOfVariants(matmulOp, {
      name: "windows",
      params: { transposeB, activation: "none", scale: 0.5 },
      tolerance,
      inputs: (r) => ({
        a: r.normals([40, 20, 32]),
        b: r.normals(transposeB ? [40, 24, 32] : [40, 32, 24], scale),
        bias: undefined,
        residual: r.normals([40, 20, 24]),
      }),
    });
    for (const [name, count] of counts) expect(count, name).toBeGreaterThan(3);
  });

  test("matmul: rows of A against a B that is not transposed", async () => {
    const counts = await dispatchesOfVariants(matmulOp, {
      name: "windows",
      params: { transposeB: false, activation: "none", scale: 1 },
      tolerance,
      inputs: (r) => ({
        a: r.normals([1200, 32]),
        b: r.normals([32, 40], scale),
        bias: undefined,
        residual: undefined,
      }),
    });
    for (const [name, count] of counts) expect(count, name).toBeGreaterThan(5);
  });

  test("a row that exceeds a binding is refused by name", async () => {
    const x = device.tensor({ shape: [1, 16384], dtype: "f32", label: "x" });
    const weight = device.tensor({ shape: [8, 16384], dtype: "f32", label: "fc.weight" });
    expect(() => linear(device.record("too wide"), x, weight)).toThrow(KernelError);
    expect(() => linear(device.record("too wide"), x, weight)).toThrow(
      /fc.weight f32\[8, 16384\] fits a binding of 32768 bytes/,
    );
    x.dispose();
    weight.dispose();
  });

  test.each([
    ["f32", 96],
    ["f16", 96],
    ["f16", 37],
    ["q8_0", 96],
    ["q4_0", 37],
  ] as const)("embedding: rows of a table of %s and of the ids, width %i", async (dtype, width) => {
    const counts = await dispatchesOfVariants(embeddingOp, {
      name: "windows",
      params: {},
      tolerance: { abs: 0, rel: 0 },
      inputs: (r) => ({
        table: r.normals([1500, width], { dtype }),
        // the ids reach past the table, and what has no row is NaN
        ids: r.integers([260], 0, 1560),
      }),
    });
    for (const [name, count] of counts) expect(count, name).toBeGreaterThan(dtype === "q4_0" ? 3 : 7);
  });
});
