import { type Capabilities, Device, type HostTensor, openDevice } from "@mask-llava/runtime";
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
const kinds: Record<string, Partial<Capabilities>> = {
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
};

let base: Device;
beforeAll(async () => {
  const gpu = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error("Dawn has no null backend");
  base = await openDevice(gpu, adapter);
});
afterAll(() => base.dispose());

const compiled = new Set<string>();

describe.each(Object.keys(kinds))("%s", (kind) => {
  let device: Device;
  beforeAll(() => {
    const { gpu, gpuDevice, info, caps } = base;
    device = new Device(gpu, gpuDevice, info, { ...caps, ...kinds[kind] }, Number.POSITIVE_INFINITY);
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
