import type { Device } from "@mask-llava/runtime";
import { checkVariant, Random, suites } from "@mask-llava/runtime/conformance";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestDevice } from "../support/device.ts";

let device: Device;
beforeAll(async () => {
  device = await openTestDevice();
});
afterAll(() => {
  expect(device.buffers.live()).toEqual([]);
  device.dispose();
});

describe.each(suites.map((s) => [s.op.name, s] as const))("%s", (_, { op, cases }) => {
  test.each(cases.filter((c) => !c.benchOnly).map((c) => [c.name, c] as const))("%s", async (_, testCase) => {
    const inputs = testCase.inputs(new Random(1)) as never;
    const variants = op.variants.filter((v) => v.supports(inputs, testCase.params, device.caps));
    expect(variants.map((v) => v.name)).not.toEqual([]);
    for (const variant of variants) {
      const result = await checkVariant(device, op, testCase, variant.name, new Random(1));
      expect(result.ok, `${variant.name}: ${result.message}`).toBe(true);
    }
  });
});
