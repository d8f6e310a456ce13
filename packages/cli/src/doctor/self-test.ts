import { type Device, fromFloat16Bits, Random, toFloat16Bits } from "@mask-llava/runtime";
import { f16Source, matmulSource, subgroupSource } from "./kernels.ts";

/** One computation on the device, checked against plain JavaScript. */
export interface SelfTestResult {
  readonly name: "matmul" | "f16" | "subgroups";
  readonly status: "pass" | "fail" | "skipped";
  readonly detail: string;
}

const seed = 20250307;

/** Computes on `device` with random data and compares with loops in f64. What the device lacks is skipped, with the reason. */
export async function selfTest(device: Device): Promise<SelfTestResult[]> {
  const { f16, subgroups } = device.caps;
  return [
    await attempt("matmul", () => testMatmul(device)),
    f16 ? await attempt("f16", () => testF16(device)) : skipped("f16", "the adapter has no shader-f16"),
    subgroups
      ? await attempt("subgroups", () => testSubgroups(device))
      : skipped("subgroups", "the adapter has no subgroups"),
  ];
}

function skipped(name: SelfTestResult["name"], detail: string): SelfTestResult {
  return { name, status: "skipped", detail };
}

async function attempt(name: SelfTestResult["name"], test: () => Promise<Verdict>): Promise<SelfTestResult> {
  try {
    const { wrong, total, detail } = await test();
    const found = wrong === 0 ? `${total} values right` : `${wrong} of ${total} values wrong`;
    return { name, status: wrong === 0 ? "pass" : "fail", detail: `${found}; ${detail}` };
  } catch (error) {
    return { name, status: "fail", detail: error instanceof Error ? error.message : String(error) };
  }
}

interface Verdict {
  readonly wrong: number;
  readonly total: number;
  readonly detail: string;
}

/** [M, K] x [K, N] in f32, through workgroup memory and barriers; sizes that no tile divides. */
async function testMatmul(device: Device): Promise<Verdict> {
  const [m, k, n] = [37, 129, 45];
  const random = new Random(seed);
  const a = Float32Array.from({ length: m * k }, () => random.normal());
  const b = Float32Array.from({ length: k * n }, () => random.normal());
  const [c = []] = await runKernel(
    device,
    matmulSource(m, k, n),
    [a, b],
    [m * n],
    [Math.ceil(n / 8), Math.ceil(m / 8)],
  );
  let wrong = 0;
  let worst = 0;
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let exact = 0;
      let magnitude = 0;
      for (let i = 0; i < k; i++) {
        const product = (a[row * k + i] ?? 0) * (b[i * n + column] ?? 0);
        exact += product;
        magnitude += Math.abs(product);
      }
      const error = Math.abs((c[row * n + column] ?? Number.NaN) - exact);
      // Higham's bound on a sum of k products: k·u·Σ|a||b|; WGSL may round to either neighbour, so u is 2^-23.
      if (!(error <= k * 2 ** -23 * magnitude)) wrong++;
      worst = Math.max(worst, error);
    }
  }
  return { wrong, total: m * n, detail: `${m}x${k}x${n} in f32, largest error ${worst.toExponential(1)}` };
}

/** Products of halves, which must be one of the two halves next to the exact product. */
async function testF16(device: Device): Promise<Verdict> {
  const count = 1000;
  const random = new Random(seed + 1);
  const half = () => fromFloat16Bits(toFloat16Bits(random.normal()));
  const a = Float32Array.from({ length: count }, half);
  const b = Float32Array.from({ length: count }, half);
  const [c = []] = await runKernel(device, f16Source(count), [a, b], [count], [Math.ceil(count / 64)]);
  let wrong = 0;
  for (let i = 0; i < count; i++) {
    const exact = (a[i] ?? 0) * (b[i] ?? 0);
    // 2^-10 is the spacing of halves relative to their size; below 2^-14 they may be flushed to zero.
    if (!(Math.abs((c[i] ?? Number.NaN) - exact) <= 2 ** -10 * Math.abs(exact) + 2 ** -14)) wrong++;
  }
  return { wrong, total: count, detail: "products of halves" };
}

/** Sums over subgroups; each lane also tells which subgroup it was in, so no mapping of lanes is assumed. */
async function testSubgroups(device: Device): Promise<Verdict> {
  const count = 1024;
  const random = new Random(seed + 2);
  // Whole numbers, so that sums are exact in whatever order.
  const x = Float32Array.from({ length: count }, () => random.integer(-1000, 1000));
  const [sums = [], leaders = []] = await runKernel(
    device,
    subgroupSource(),
    [x],
    [count, count],
    [count / 64],
  );
  const expected = new Map<number, number>();
  const sizes = new Map<number, number>();
  for (let i = 0; i < count; i++) {
    const leader = leaders[i] ?? -1;
    expected.set(leader, (expected.get(leader) ?? 0) + (x[i] ?? 0));
    sizes.set(leader, (sizes.get(leader) ?? 0) + 1);
  }
  let wrong = 0;
  for (let i = 0; i < count; i++) if (sums[i] !== expected.get(leaders[i] ?? -1)) wrong++;
  return { wrong, total: count, detail: `sums over subgroups of ${[...new Set(sizes.values())].join(", ")}` };
}

/** Runs one kernel whose bindings are `inputs`, then outputs of the given lengths, all f32. */
async function runKernel(
  device: Device,
  code: string,
  inputs: readonly Float32Array[],
  outputLengths: readonly number[],
  workgroups: readonly [number, number?],
): Promise<ArrayLike<number>[]> {
  const { gpuDevice } = device;
  const tensors = [
    ...inputs.map((data) =>
      device.tensor({ shape: [data.length], dtype: "f32", label: "self-test input" }, data),
    ),
    ...outputLengths.map((n) => device.tensor({ shape: [n], dtype: "f32", label: "self-test output" })),
  ];
  try {
    const pipeline = await device.guard(
      gpuDevice.createComputePipelineAsync({
        layout: "auto",
        compute: { module: gpuDevice.createShaderModule({ code, label: "self-test" }) },
      }),
    );
    device.watch("self-test", () => {
      const encoder = gpuDevice.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(
        0,
        gpuDevice.createBindGroup({
          layout: pipeline.getBindGroupLayout(0),
          entries: tensors.map((tensor, binding) => ({ binding, resource: { buffer: tensor.buffer() } })),
        }),
      );
      pass.dispatchWorkgroups(...workgroups);
      pass.end();
      device.submit(encoder);
    });
    const outputs: ArrayLike<number>[] = [];
    for (const tensor of tensors.slice(inputs.length)) outputs.push(await device.read(tensor));
    return outputs;
  } finally {
    for (const tensor of tensors) tensor.dispose();
  }
}
