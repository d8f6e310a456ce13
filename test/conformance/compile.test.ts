import {
  type Capabilities,
  Device,
  type DeviceLimits,
  type HostTensor,
  limitNames,
  openDevice,
} from "@mask-llava/runtime";
import { Random, suites, upload } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { create } from "webgpu";

/**
 * Every variant of every op, for kinds of GPU that are not here: Dawn's null backend validates and compiles WGSL for any
 * feature and runs nothing. What a kernel computes is the business of ops.gpu.test.ts.
 */
const matrices = (M: number, N: number, K: number): Partial<Capabilities> => ({
  subgroupMatrix: [{ componentType: "f16", resultComponentType: "f32", M, N, K }],
});
/** Kinds of GPU; `least`: with no more than the limits that every WebGPU device has. */
const kinds: Record<string, Partial<Capabilities> & { readonly least?: boolean }> = {
  "subgroups of 32, f16, matrices": { subgroupSize: 32, ...matrices(16, 16, 16) },
  "subgroups of 64, f16, matrices": { subgroupSize: 64, ...matrices(16, 8, 16) },
  "subgroups of 64": { subgroupSize: 64, f16: false },
  "subgroups of any size": { subgroupSize: 0, ...matrices(16, 16, 16) },
  "subgroups of 8": { subgroupSize: 8 },
  "subgroups of 4, no f16": { subgroupSize: 4, f16: false },
  "no subgroups, no f16": {
    subgroups: false,
    subgroupSize: 0,
    f16: false,
    packedDot: false,
  },
  "the least limits, subgroups of 32, f16": { least: true, subgroupSize: 32 },
  "the least limits, subgroups of 128": { least: true, subgroupSize: 128, f16: false },
  "the least limits, no subgroups, no f16": {
    least: true,
    subgroups: false,
    subgroupSize: 0,
    f16: false,
    packedDot: false,
  },
};

let base: Device;
let least: Device;
beforeAll(async () => {
  const gpu = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  const adapter = async () => {
    const found = await gpu.requestAdapter();
    if (!found) throw new Error("Dawn has no null backend");
    return found;
  };
  base = await openDevice(gpu, await adapter());
  least = await leastDevice(base, await adapter());
});
afterAll(() => {
  base.dispose();
  least.dispose();
});

/** `base` with the limits that a device has which asked for none. */
async function leastDevice({ gpu, gpuDevice, info, caps }: Device, adapter: GPUAdapter): Promise<Device> {
  const requiredFeatures = [...gpuDevice.features] as GPUFeatureName[];
  const device = await adapter.requestDevice({ requiredFeatures });
  const limits = Object.fromEntries(limitNames.map((name) => [name, device.limits[name]]));
  return new Device(
    gpu,
    device,
    info,
    { ...caps, limits: limits as unknown as DeviceLimits },
    Number.POSITIVE_INFINITY,
  );
}

const compiled = new Set<string>();

describe.each(Object.keys(kinds))("%s", (kind) => {
  let device: Device;
  beforeAll(() => {
    const { least: isLeast, ...own } = kinds[kind] ?? {};
    const { gpu, gpuDevice, info, caps } = isLeast ? least : base;
    device = new Device(gpu, gpuDevice, info, { ...caps, ...own }, Number.POSITIVE_INFINITY);
  });
  test.each(suites.map((s) => [s.op.name, s] as const))("%s", async (_, { op, cases }) => {
    for (const testCase of cases.filter((c) => !c.benchOnly)) {
      const host = testCase.inputs(new Random(1)) as never;
      const variants = op.variants.filter((v) => v.supports(host, testCase.params, device.caps));
      expect(variants.length, testCase.name).toBeGreaterThan(0);
      for (const variant of variants) {
        const uploaded = Object.entries(host as Record<string, HostTensor | undefined>).map(
          ([name, h]) => [name, h && upload(device, h)] as const,
        );
        const cmd = device.record(`${op.name} ${testCase.name} ${variant.name}`);
        const outputs = cmd.call(op, Object.fromEntries(uploaded) as never, testCase.params, {
          variant: variant.name,
        });
        const program = await cmd.finish({ outputs });
        compiled.add(`${op.name}/${variant.name}`);
        program.dispose();
        for (const [, tensor] of uploaded) tensor?.dispose();
      }
    }
    device.buffers.trim();
  });
});

test("every variant of every op was compiled", () => {
  const all = suites.flatMap(({ op }) => op.variants.map((v) => `${op.name}/${v.name}`));
  expect(all.filter((name) => !compiled.has(name))).toEqual([]);
});
