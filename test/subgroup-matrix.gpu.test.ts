import { Device, type Kernel, matmulOp } from "@mask-llava/runtime";
import { checkVariant, Random, suites } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "./support/device.ts";

/**
 * The product by subgroup matrices on adapters that have none: its WGSL with matrices of operands as their places in the
 * tiles, sums in workgroup memory, of which each lane keeps every so many elements, the extension's functions as loops, and
 * subgroups as so many threads in a row. What this leaves open is the driver's own matrices.
 */
let base: Device;
beforeAll(async () => {
  base = await openTestDevice();
});
afterAll(() => base.dispose());

/** Offsets and strides count what the arrays hold, vec4s of a tile and floats of `blocks`, as in Dawn. */
function emulated(source: string, lanes: number): string {
  const left = source.match(/subgroup_matrix_left<f16, (?<k>\d+), (?<m>\d+)>/)?.groups;
  const right = source.match(/subgroup_matrix_right<f16, (?<n>\d+),/)?.groups;
  if (!left || !right) return source;
  const [m, n, k] = [left.m, right.n, left.k].map(Number) as [number, number, number];
  let sums = 0;
  const body = source
    .replace("enable subgroups;\nenable chromium_experimental_subgroup_matrix;\n", "")
    .replace(
      /,\s*@builtin\(subgroup_id\).*\{\n/,
      `) {\n  let subgroup = li / ${lanes}u; let lane = li % ${lanes}u;\n`,
    )
    .replaceAll(
      /var (\w+): subgroup_matrix_result<f32, \d+, \d+>;/g,
      (_, name) => `var ${name} = (subgroup * SUMS + ${sums++}u) * ${m * n}u + lane;`,
    )
    .replaceAll(
      /subgroupMatrixLoad<[^>]*>, (row|col)_major>\(&[ab]_tile, ([^;]*), (\d+)u\);/g,
      "vec2u($2, $3u);",
    )
    .replaceAll(
      /(\w+) = subgroupMatrixMultiplyAccumulate\((\w+), (\w+), \1\);/g,
      "multiply($2, $3, $1, lane);",
    )
    .replaceAll(/subgroupMatrixStore<row_major>\(&blocks, block, (\w+), \d+u\);/g, "store(block, $1, lane);");
  expect(body).not.toMatch(/subgroup_?matrix/i);
  const functions = `
const SUMS = ${sums}u;
var<workgroup> held: array<f32, ${4 * sums * m * n}>;
fn multiply(left: vec2u, right: vec2u, sum: u32, lane: u32) {
  // a bound that a compiler does not see through: it would unroll the loop
  for (var i = 0u; lane + i < ${m * n}u + (u.n >> 31u); i += ${lanes}u) {
    let a = left.x + (lane + i) / ${n}u * left.y;
    let b = right.x + (lane + i) % ${n}u * right.y;
    for (var l = 0u; l < ${k / 4}u + (u.n >> 31u); l++) {
      held[sum + i] += dot(vec4<f32>(a_tile[a + l]), vec4<f32>(b_tile[b + l]));
    }
  }
}
fn store(block: u32, sum: u32, lane: u32) {
  for (var i = 0u; lane + i < ${m * n}u; i += ${lanes}u) { blocks[block + lane + i] = held[sum + i]; }
}
`;
  return body.replace("@compute", `${functions}@compute`);
}

/** A device that has such matrices, by way of `emulated`. */
function withMatrices(M: number, N: number, K: number, subgroupSize: number): Device {
  const { gpu, gpuDevice, info, caps } = base;
  // the rest is for the sums
  const limits = { ...caps.limits, maxComputeWorkgroupStorageSize: 16384 };
  const subgroupMatrix = [{ componentType: "f16", resultComponentType: "f32", M, N, K }];
  const device = new Device(
    gpu,
    gpuDevice,
    info,
    { ...caps, limits, subgroups: true, subgroupSize, subgroupMatrix },
    2 ** 30,
  );
  const { pipelines } = device;
  const get = pipelines.get.bind(pipelines);
  pipelines.get = (kernel: Kernel) => get({ ...kernel, source: emulated(kernel.source, subgroupSize) });
  return device;
}

const { cases } = suites.find(({ op }) => op.name === "matmul") as (typeof suites)[number];

describe.each([
  [16, 16, 16, 32],
  [16, 8, 16, 64],
])("matrices of %i x %i x %i, subgroups of %i", (M, N, K, lanes) => {
  test("give what loops over all shapes' elements give", async ({ skip }) => {
    skip(!base.caps.f16, "the kernel needs f16");
    const device = withMatrices(M, N, K, lanes);
    const [variant] = matmulOp.variants.filter(({ name }) => name === "subgroup-matrix");
    let checked = 0;
    for (const testCase of cases) {
      const inputs = testCase.inputs(new Random(1)) as never;
      if (testCase.benchOnly || !variant?.supports(inputs, testCase.params as never, device.caps)) continue;
      const { ok, message } = await checkVariant(
        device,
        matmulOp as never,
        testCase,
        "subgroup-matrix",
        new Random(1),
      );
      expect(ok, `${testCase.name}: ${message}`).toBe(true);
      checked++;
    }
    expect(checked).toBeGreaterThan(3);
    device.buffers.trim();
  });
});
