import { expect, test } from "vitest";
import type { Capabilities } from "../../capabilities.ts";
import { chooseVariant } from "../../op.ts";
import type { DType } from "../../tensor.ts";
import { matmulOp } from "./index.ts";
import { fastestRows } from "./subgroup-rows.ts";

/** As software adapters have them. */
const caps: Capabilities = {
  f16: true,
  subgroups: true,
  subgroupSize: 8,
  subgroupMatrix: [],
  packedDot: true,
  timestamps: true,
  limits: {
    maxStorageBufferBindingSize: 2 ** 27,
    maxBufferSize: 2 ** 28,
    minStorageBufferOffsetAlignment: 256,
    minUniformBufferOffsetAlignment: 256,
    maxStorageBuffersPerShaderStage: 8,
    maxComputeWorkgroupStorageSize: 2 ** 15,
    maxComputeInvocationsPerWorkgroup: 256,
    maxComputeWorkgroupSizeX: 256,
    maxComputeWorkgroupsPerDimension: 65535,
  },
};

function variantFor(m: number, k: number, dtype: DType): string {
  const inputs = { a: { shape: [m, k], dtype: "f32" }, b: { shape: [64, k], dtype } } as const;
  return chooseVariant(matmulOp, inputs, { transposeB: true, activation: "none", scale: 1 }, caps).name;
}

test.each([
  [5, 8],
  [8, 8],
  [9, 16],
  [16, 16],
  [17, 32],
  [33, 16],
  [48, 16],
  [49, 32],
  [617, 32],
])("%i rows are done first by %i at once", (m, rows) => {
  expect(fastestRows(m)).toBe(rows);
  expect(variantFor(m, 64, "f32")).toBe(`subgroup-${rows}-f32`);
  expect(variantFor(m, 64, "q4_0")).toBe(`quantized-subgroup-${rows}`);
});

test("rows that are not aligned have eight at once, however many there are", () => {
  for (const m of [5, 16, 33, 617]) {
    expect(variantFor(m, 63, "f32")).toBe("subgroup-8-f32");
    expect(variantFor(m, 63, "f16")).toBe("subgroup-8-packed");
  }
});
